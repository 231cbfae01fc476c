/** The commands that can complete what is typed. The focus stays in the field, which names the active option. */
import type { SlashCommand } from "../../client/integrations";
import { lineOf } from "../text/isolation";

interface Props {
  id: string;
  commands: readonly SlashCommand[];
  active: number;
  onPick: (command: SlashCommand) => void;
}

export function optionId(list: string, index: number): string {
  return `${list}-${index}`;
}

export function CommandList({ id, commands, active, onPick }: Props) {
  return (
    <ul id={id} className="command-list" role="listbox" aria-label="Commands" data-testid="commands">
      {commands.map((command, index) => (
        <li
          key={command.name}
          id={optionId(id, index)}
          className="command-option"
          role="option"
          aria-selected={index === active}
          data-testid="command"
          ref={(element) => {
            if (index === active) element?.scrollIntoView({ block: "nearest" });
          }}
          onMouseDown={(event) => {
            event.preventDefault(); // the field keeps the focus
            onPick(command);
          }}
        >
          <span>
            <b>/{command.name}</b> <bdi className="muted">{lineOf(command.hint)}</bdi>
          </span>
          <bdi className="muted">{lineOf(command.description)}</bdi>
        </li>
      ))}
    </ul>
  );
}
