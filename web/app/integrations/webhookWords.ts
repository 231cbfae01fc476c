/** The words for the state of webhooks and their deliveries. */
import type { Delivery, Webhook } from "../../client/integrations";
import { quantity } from "../text/wording";

const reasons: Readonly<Record<Webhook["reason"], string>> = {
  "": "Active",
  requested: "Disabled",
  gone: "Disabled: its server answered that it is gone",
  failing: "Disabled: every attempt failed for five days",
  backlog: "Suspended: too much waits to be sent",
};

/** "Active · 3 waiting · 1 failed". */
export function stateWords({ reason, waiting, dead }: Pick<Webhook, "reason" | "waiting" | "dead">): string {
  const counts = [waiting > 0 ? `${quantity(waiting)} waiting` : "", dead > 0 ? `${quantity(dead)} failed` : ""];
  return [reasons[reason], ...counts].filter((words) => words !== "").join(" · ");
}

const states: Readonly<Record<Delivery["state"], string>> = { waiting: "Waiting", delivered: "Delivered", dead: "Failed" };

const outcomes: Readonly<Record<string, string>> = {
  redirected: "redirected elsewhere",
  timeout: "no answer in time",
  unreachable: "server not reachable",
  forbidden_address: "address not allowed",
};

/** "Failed · status 500 · 12 attempts". */
export function deliveryWords({ state, status, outcome, attempts }: Pick<Delivery, "state" | "status" | "outcome" | "attempts">): string {
  const last = status > 0 ? `status ${status}` : (outcomes[outcome] ?? "");
  const tried = attempts > 1 ? `${quantity(attempts)} attempts` : "";
  return [states[state], last, tried].filter((words) => words !== "").join(" · ");
}
