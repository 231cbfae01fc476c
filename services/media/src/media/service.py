"""The RPCs about uploads. The calling service decides whether its user may see an upload's channel."""

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
from media.quota import Quota, require
from media.scan import ScanWorker
from media.upload import THUMBNAIL_TYPE, State, Upload

SERVICE_NAME: str = rpc.DESCRIPTOR.services_by_name["MediaService"].full_name
_RESOLVED_AT_ONCE = 10


class MediaService(stubs.MediaServiceServicer):
    """hubbub.media.v1.MediaService."""

    def __init__(self, database: Database, objects: Objects, scan: ScanWorker, max_bytes: int, quota: Quota) -> None:
        self._database = database
        self._objects = objects
        self._scan = scan
        self._max_bytes = max_bytes
        self._quota = quota

    async def CreateUpload(self, request: rpc.CreateUploadRequest, _context: object) -> rpc.CreateUploadResponse:
        """Announce a file and get the form that uploads it. Raises `TooLarge` and `RateLimited` by quota."""
        announced = convert.announcement(request, self._max_bytes)
        async with self._database.transaction([announced.tenant]) as connection:
            upload, usage = await store.create(connection, announced, self._quota.user_per_minute)
            require(self._quota, usage)
        UPLOADS.inc()
        form = await self._objects.form(upload)
        return rpc.CreateUploadResponse(upload=convert.upload(upload), form=convert.form(form))

    async def CompleteUpload(self, request: rpc.CompleteUploadRequest, _context: object) -> rpc.CompleteUploadResponse:
        """Begin to scan; a repeated call answers the upload's state. Raises `Conflict` without the bytes."""
        upload = await self._known(request.tenant, request.upload)
        if upload.owner != request.user:
            raise NotFound
        if upload.state is State.PENDING:
            try:
                await self._objects.arrived(upload)
            except ObjectAbsentError as error:
                raise Conflict("The bytes are not there") from error
            async with self._database.connection([upload.tenant]) as connection:
                begun = await store.begin_scanning(connection, upload.tenant, upload.id)
            self._scan.wake()
            upload = begun or await self._known(request.tenant, request.upload)
        return rpc.CompleteUploadResponse(upload=convert.upload(upload))

    async def GetUpload(self, request: rpc.GetUploadRequest, _context: object) -> rpc.GetUploadResponse:
        """One upload."""
        return rpc.GetUploadResponse(upload=convert.upload(await self._known(request.tenant, request.upload)))

    async def GetLink(self, request: rpc.GetLinkRequest, _context: object) -> rpc.GetLinkResponse:
        """A link to a clean upload; raises `Conflict` before the verdict, `BlockedMedia` after a bad one.

        Only a picture's owner gets the original, to be saved; all others get the copy that was encoded anew.
        """
        thumbnail = convert.is_thumbnail(request.variant)
        upload = await self._known(request.tenant, request.upload)
        if upload.state in {State.PENDING, State.SCANNING}:
            raise Conflict("The upload has not been examined yet")
        if upload.state is not State.CLEAN:
            raise BlockedMedia
        key, kind = upload.kept, upload.type
        if thumbnail:
            if not upload.thumbnail:
                raise NotFound
            key, kind = upload.thumb, THUMBNAIL_TYPE
        elif upload.thumbnail and upload.owner != request.user:
            key = upload.picture
            kind = THUMBNAIL_TYPE if key == upload.thumb else upload.type
        link = await self._objects.link(key, kind, upload.name, inline=key != upload.kept)
        answer = rpc.GetLinkResponse(url=link)
        answer.expires_at.FromDatetime(datetime.now(UTC) + timedelta(seconds=LINK_SECONDS))
        return answer

    async def ResolveUploads(self, request: rpc.ResolveUploadsRequest, _context: object) -> rpc.ResolveUploadsResponse:
        """Uploads for a message to carry; raises `NotFound` for foreign ones, `BlockedMedia` for those not clean."""
        if len(request.uploads) > _RESOLVED_AT_ONCE:
            raise InvalidArgument(f"At most {_RESOLVED_AT_ONCE} uploads")
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

    async def _known(self, tenant: str, upload: str) -> Upload:
        tenant = convert.tenant(tenant)
        async with self._database.connection([tenant]) as connection:
            found = await store.get(connection, tenant, convert.upload_id(upload))
        if found is None:
            raise NotFound
        return found


def add_service(server: grpc.aio.Server, service: MediaService) -> None:
    """Serve the RPCs on `server`."""
    stubs.add_MediaServiceServicer_to_server(service, server)
