#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    softhsm_tests::outside_bytes::attestation(bytes);
});
