/** The client with every part of the package that the app uses. */
import { HubbubClient } from "../../client";
import { botsApi } from "../../client/bots";
import { integrationsApi } from "../../client/integrations";
import { moderationApi } from "../../client/moderation";
import { People } from "../../client/people";
import { sessionsApi } from "../../client/signin";
import { ChannelView } from "../../client/view";

export class AppClient extends HubbubClient {
  readonly view = new ChannelView(this);
  readonly people = new People(this);
  readonly bots = botsApi(this.http);
  readonly integrations = integrationsApi(this.http);
  readonly moderation = moderationApi(this.http);
  readonly sessions = sessionsApi(this.http);
}
