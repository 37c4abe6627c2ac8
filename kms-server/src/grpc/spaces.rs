//! Spaces, identifier domains, edges.

use super::door::{Asked, Door, mismatch};
use super::{parse, resource};
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Change, Command, Named, Read, Sort};
use kms_core::error::Result as Parsed;
use kms_core::name::SpaceName;
use kms_core::revision::Revision;
use kms_proto::v1::{self, space_service_server::SpaceService};
use tonic::{Request, Response, Status};

impl Door {
    async fn move_space(
        &self,
        request: Request<v1::MoveSpaceRequest>,
        action: Action,
        change: impl Fn(SpaceName, Option<Revision>, String) -> Change + Send,
    ) -> Result<Response<v1::Space>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let name = parse::name("name", &message.name)?;
            let etag = parse::etag(&message.etag)?;
            let change = change(name, etag, parse::reason(message.reason)?);
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, action, asked()).await?)
    }
}

#[tonic::async_trait]
impl SpaceService for Door {
    async fn create_space(
        &self,
        request: Request<v1::CreateSpaceRequest>,
    ) -> Result<Response<v1::Space>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let space = parse::required("space", message.space)?;
            let change = Change::CreateSpace {
                name: parse::name("space.name", &space.name)?,
                title: parse::title(space.title)?,
                kind: parse::space_kind(space.kind)?,
                lifecycle: parse::lifecycle(space.lifecycle)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::CreateSpace, asked()).await?)
    }

    async fn get_space(
        &self,
        request: Request<v1::GetSpaceRequest>,
    ) -> Result<Response<v1::Space>, Status> {
        let (_, extensions, message) = request.into_parts();
        let named = parse::name("name", &message.name).map(Named::Space);
        resource_of(
            self.pass(&extensions, Action::ReadInventory, get(named))
                .await?,
        )
    }

    async fn list_spaces(
        &self,
        request: Request<v1::ListSpacesRequest>,
    ) -> Result<Response<v1::ListSpacesResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::list(
            Sort::Spaces,
            (None, None),
            message.page_size,
            message.page_token,
        );
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked.map(Asked::from))
            .await?;
        let (spaces, next_page_token) = page_of(reply)?;
        Ok(Response::new(v1::ListSpacesResponse {
            spaces,
            next_page_token,
        }))
    }

    async fn update_space(
        &self,
        request: Request<v1::UpdateSpaceRequest>,
    ) -> Result<Response<v1::Space>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let space = parse::required("space", message.space)?;
            let paths = parse::mask(message.update_mask, &["title", "lifecycle"])?;
            let named = |path: &str| paths.iter().any(|p| p == path);
            let change = Change::UpdateSpace {
                name: parse::name("space.name", &space.name)?,
                etag: parse::etag(&space.etag)?,
                title: named("title")
                    .then(|| parse::title(space.title))
                    .transpose()?,
                lifecycle: named("lifecycle")
                    .then(|| parse::lifecycle(space.lifecycle))
                    .transpose()?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::UpdateSpace, asked()).await?)
    }

    async fn archive_space(
        &self,
        request: Request<v1::MoveSpaceRequest>,
    ) -> Result<Response<v1::Space>, Status> {
        let change = |name, etag, reason| Change::ArchiveSpace { name, etag, reason };
        self.move_space(request, Action::ArchiveSpace, change).await
    }

    async fn decommission_space(
        &self,
        request: Request<v1::MoveSpaceRequest>,
    ) -> Result<Response<v1::Space>, Status> {
        let change = |name, etag, reason| Change::DecommissionSpace { name, etag, reason };
        self.move_space(request, Action::DecommissionSpace, change)
            .await
    }

    async fn keep_space(
        &self,
        request: Request<v1::MoveSpaceRequest>,
    ) -> Result<Response<v1::Space>, Status> {
        let change = |name, etag, reason| Change::KeepSpace { name, etag, reason };
        self.move_space(request, Action::CancelDestruction, change)
            .await
    }

    async fn create_domain(
        &self,
        request: Request<v1::CreateDomainRequest>,
    ) -> Result<Response<v1::Domain>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let domain = parse::required("domain", message.domain)?;
            let source = match domain.source.as_str() {
                "" => None,
                source => Some(parse::name("domain.source", source)?),
            };
            let change = Change::CreateDomain {
                name: parse::name("domain.name", &domain.name)?,
                title: parse::title(domain.title)?,
                source,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(
            self.pass(&extensions, Action::CreateDomain, asked())
                .await?,
        )
    }

    async fn get_domain(
        &self,
        request: Request<v1::GetDomainRequest>,
    ) -> Result<Response<v1::Domain>, Status> {
        let (_, extensions, message) = request.into_parts();
        let named = parse::name("name", &message.name).map(Named::Domain);
        resource_of(
            self.pass(&extensions, Action::ReadInventory, get(named))
                .await?,
        )
    }

    async fn list_domains(
        &self,
        request: Request<v1::ListDomainsRequest>,
    ) -> Result<Response<v1::ListDomainsResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::list(
            Sort::Domains,
            (None, None),
            message.page_size,
            message.page_token,
        );
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked.map(Asked::from))
            .await?;
        let (domains, next_page_token) = page_of(reply)?;
        Ok(Response::new(v1::ListDomainsResponse {
            domains,
            next_page_token,
        }))
    }

    async fn create_edge(
        &self,
        request: Request<v1::CreateEdgeRequest>,
    ) -> Result<Response<v1::Edge>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let edge = parse::required("edge", message.edge)?;
            let change = Change::CreateEdge {
                name: parse::name("edge.name", &edge.name)?,
                code: parse::name("edge.code", &edge.code)?,
                input: parse::input_type(edge.input)?,
                exportable: edge.exportable,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::CreateEdge, asked()).await?)
    }

    async fn get_edge(
        &self,
        request: Request<v1::GetEdgeRequest>,
    ) -> Result<Response<v1::Edge>, Status> {
        let (_, extensions, message) = request.into_parts();
        let named = parse::name("name", &message.name).map(Named::Edge);
        resource_of(
            self.pass(&extensions, Action::ReadInventory, get(named))
                .await?,
        )
    }

    async fn list_edges(
        &self,
        request: Request<v1::ListEdgesRequest>,
    ) -> Result<Response<v1::ListEdgesResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::parent(&message.parent).and_then(|space| {
            parse::list(
                Sort::Edges,
                (space, None),
                message.page_size,
                message.page_token,
            )
        });
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked.map(Asked::from))
            .await?;
        let (edges, next_page_token) = page_of(reply)?;
        Ok(Response::new(v1::ListEdgesResponse {
            edges,
            next_page_token,
        }))
    }
}

/// What a Get asks.
pub(super) fn get(named: Parsed<Named>) -> Parsed<Asked> {
    named.map(|named| Command::Read(Read::Resource(named)).into())
}

/// The one resource of a reply.
pub(super) fn resource_of<M: resource::FromValue>(reply: Reply) -> Result<Response<M>, Status> {
    let Reply::Resource(stamped) = reply else {
        return Err(mismatch());
    };
    resource::message(&stamped).map(Response::new)
}

/// The page of a reply, and the token of the next.
pub(super) fn page_of<M: resource::FromValue>(reply: Reply) -> Result<(Vec<M>, String), Status> {
    let Reply::Page(page, next) = reply else {
        return Err(mismatch());
    };
    Ok((resource::messages(&page)?, next.unwrap_or_default()))
}
