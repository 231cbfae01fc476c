"""The RPCs of media. The calling service must check that the user may see the upload's channel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc

from chassis.errors import BlockedMedia, Conflict, InvalidArgument, NotFound
from chassis.postgres import Database
from hubbub.media.v1 import media_service_pb2 as rpc
from hubbub.media.v1 import media_service_pb2_grpc as stubs
from media import convert, store
from media.errors import ObjectAbsentError
from media.metrics import UPLOADS
from media.objects import LINK_SECONDS, Objects
from media.scan import ScanWorker
from media.upload import State, Upload

SERVICE_NAME: str = rpc.DESCRIPTOR.services_by_name["MediaService"].full_name
_MAX_RESOLVED = 10


class MediaService(stubs.MediaServiceServicer):
    """hubbub.media.v1.MediaService."""

    def __init__(self, database: Database, objects: Objects, scan: ScanWorker, max_bytes: int) -> None:
        self._database = database
        self._objects = objects
        self._scan = scan
        self._max_bytes = max_bytes

    async def CreateUpload(self, request: rpc.CreateUploadRequest, _context: object) -> rpc.CreateUploadResponse:
        """Announce a file, and return the form that uploads it."""
        announced = convert.announcement(request, self._max_bytes)
        async with self._database.connection([announced.tenant]) as connection:
            upload = await store.create(connection, announced)
        UPLOADS.inc()
        form = await self._objects.form(upload)
        return rpc.CreateUploadResponse(upload=convert.upload(upload), form=convert.form(form))

    async def CompleteUpload(self, request: rpc.CompleteUploadRequest, _context: object) -> rpc.CompleteUploadResponse:
        """Queue the scan; repeated calls return the current state. Raises `Conflict` if the file was not uploaded."""
        upload = await self._load(request.tenant, request.upload)
        if upload.owner != request.user:
            raise NotFound
        if upload.state is State.PENDING:
            try:
                await self._objects.arrived(upload)
            except ObjectAbsentError as error:
                raise Conflict("The file has not been uploaded yet") from error
            async with self._database.connection([upload.tenant]) as connection:
                begun = await store.begin_scanning(connection, upload.tenant, upload.id)
            self._scan.wake()
            upload = begun or await self._load(request.tenant, request.upload)
        return rpc.CompleteUploadResponse(upload=convert.upload(upload))

    async def GetUpload(self, request: rpc.GetUploadRequest, _context: object) -> rpc.GetUploadResponse:
        """Return one upload."""
        return rpc.GetUploadResponse(upload=convert.upload(await self._load(request.tenant, request.upload)))

    async def GetLink(self, request: rpc.GetLinkRequest, _context: object) -> rpc.GetLinkResponse:
        """Return a link to a clean upload. Raises `Conflict` before the verdict, `BlockedMedia` if the upload is not clean."""
        thumbnail = convert.is_thumbnail(request.variant)
        upload = await self._load(request.tenant, request.upload)
        if upload.state in {State.PENDING, State.SCANNING}:
            raise Conflict("The upload has not been scanned yet")
        if upload.state is not State.CLEAN:
            raise BlockedMedia
        if thumbnail and not upload.thumbnail:
            raise NotFound
        answer = rpc.GetLinkResponse(url=await self._objects.link(upload, thumbnail=thumbnail))
        answer.expires_at.FromDatetime(datetime.now(UTC) + timedelta(seconds=LINK_SECONDS))
        return answer

    async def ResolveUploads(self, request: rpc.ResolveUploadsRequest, _context: object) -> rpc.ResolveUploadsResponse:
        """Return the uploads to attach to a message. Raises `NotFound` unless all are the user's own in this channel.

        Raises `BlockedMedia` if one is not clean.
        """
        if len(request.uploads) > _MAX_RESOLVED:
            raise InvalidArgument(f"A request may name at most {_MAX_RESOLVED} uploads")
        ids = [convert.upload_id(each) for each in request.uploads]
        channel = convert.upload_id(request.channel)
        tenant, user = convert.tenant(request.tenant), convert.user(request.user)
        async with self._database.connection([tenant]) as connection:
            found = await store.find(connection, tenant, channel, user, ids)
        if not all(each in found for each in ids):
            raise NotFound
        if any(found[each].state is not State.CLEAN for each in ids):
            raise BlockedMedia
        return rpc.ResolveUploadsResponse(uploads=[convert.upload(found[each]) for each in ids])

    async def _load(self, tenant: str, upload: str) -> Upload:
        tenant = convert.tenant(tenant)
        async with self._database.connection([tenant]) as connection:
            found = await store.get(connection, tenant, convert.upload_id(upload))
        if found is None:
            raise NotFound
        return found


def add_service(server: grpc.aio.Server, service: MediaService) -> None:
    """Register the service on `server`."""
    stubs.add_MediaServiceServicer_to_server(service, server)
