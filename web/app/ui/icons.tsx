/** The icons: one stroke, one grid of 20. They are decorative; the control needs its own accessible name. */
import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

const path = (d: string) => () => (
  <Icon>
    <path d={d} />
  </Icon>
);

export const BackIcon = path("M12.500 4.500 7 10l5.500 5.500");
export const BotIcon = path("M10 3v3M5.500 6h9a1.500 1.500 0 0 1 1.500 1.500v6a1.500 1.500 0 0 1-1.500 1.500h-9A1.500 1.500 0 0 1 4 13.500v-6A1.500 1.500 0 0 1 5.500 6ZM7.500 9.500v1M12.500 9.500v1M2 9.500v2.500M18 9.500v2.500");
export const PlusIcon = path("M10 4v12M4 10h12");
export const CloseIcon = path("m5 5 10 10M15 5 5 15");
export const SendIcon = path("M10 16V4.500M5 9l5-5 5 5");
export const DownIcon = path("M10 4v11.500M5 11l5 5 5-5");
export const HashIcon = path("M8 3.500 6.500 16.500M13.500 3.500 12 16.500M3.500 7.500h13M3.500 12.500h13");
export const PencilIcon = path("m4 16 .8-3.400L13.300 4.100a1.500 1.500 0 0 1 2.100 0l.5.5a1.500 1.500 0 0 1 0 2.100L7.400 15.200 4 16Z");
export const TrashIcon = path("M4 5.500h12M8 5.500V4h4v1.500M5.500 5.500l.7 10.500h7.600l.7-10.500M8.500 8.500v5M11.500 8.500v5");
export const SearchIcon = path("M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11ZM13 13l3.500 3.500");
export const MegaphoneIcon = path("M4 8.500v3h2.500l6.500 4v-11l-6.500 4H4ZM15.500 8.500a2.500 2.500 0 0 1 0 3");
export const QuestionIcon = path("M7.500 7.500a2.500 2.500 0 1 1 3.600 2.200c-.8.400-1.100.9-1.100 1.800M10 14.500v.01M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15Z");
export const PeopleIcon = path("M7.500 9.500a2.700 2.700 0 1 0 0-5.400 2.700 2.700 0 0 0 0 5.400ZM2.500 16c.3-2.600 2.300-4.200 5-4.200s4.700 1.600 5 4.200M13 4.500a2.500 2.500 0 0 1 0 4.700M14.500 12.200c1.700.5 2.800 1.800 3 3.800");
export const SmileIcon = path("M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15ZM7 11.800c.6 1.200 1.700 1.900 3 1.900s2.400-.7 3-1.900M7.500 8v.01M12.500 8v.01");
export const MoonIcon = path("M16.500 11.700A6.800 6.800 0 0 1 8.300 3.500a6.800 6.800 0 1 0 8.200 8.200Z");
export const SunIcon = path("M10 13.200a3.200 3.200 0 1 0 0-6.400 3.200 3.200 0 0 0 0 6.400ZM10 2.500v1.300M10 16.200v1.300M2.500 10h1.300M16.200 10h1.300M4.700 4.700l.9.9M14.400 14.400l.9.9M4.700 15.300l.9-.9M14.400 5.600l.9-.9");
export const LeaveIcon = path("M8 4H5.500A1.500 1.500 0 0 0 4 5.500v9A1.500 1.500 0 0 0 5.500 16H8M12.500 6.500 16 10l-3.500 3.500M16 10H8");
export const BellIcon = path("M10 3a4.500 4.500 0 0 0-4.500 4.500c0 4-1.500 5.500-1.500 5.500h12s-1.500-1.500-1.500-5.500A4.500 4.500 0 0 0 10 3ZM8.500 16a1.600 1.600 0 0 0 3 0");
export const MutedIcon = path("M10 3a4.500 4.500 0 0 0-4.500 4.500c0 4-1.500 5.500-1.500 5.500h12s-1.500-1.500-1.500-5.500A4.500 4.500 0 0 0 10 3ZM8.500 16a1.600 1.600 0 0 0 3 0M3.500 3.500l13 13");
export const LinkIcon = path("M8.500 11.500a3 3 0 0 0 4.300 0l2.400-2.400a3 3 0 0 0-4.300-4.300l-.7.7M11.500 8.500a3 3 0 0 0-4.300 0l-2.400 2.400a3 3 0 0 0 4.300 4.300l.7-.7");
export const AlertIcon = path("M10 6.500v4M10 13.500v.01M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15Z");
export const PinIcon = path("M7.500 3.500h5l-.6 5 2.600 2.500h-9l2.600-2.500-.6-5ZM10 11v6");
export function MoreIcon() {
  return (
    <svg className="icon" viewBox="0 0 20 20" fill="currentColor" aria-hidden="true">
      <circle cx="4.800" cy="10" r="1.400" />
      <circle cx="10" cy="10" r="1.400" />
      <circle cx="15.200" cy="10" r="1.400" />
    </svg>
  );
}
export const ReplyIcon = path("M8 5 3.500 9.500 8 14M3.500 9.500H12a4.500 4.500 0 0 1 4.500 4.500v1.500");
export const FlagIcon = path("M5 17.500v-14M5 4.500c3-1.700 5.500 1.700 10 .3v7.400c-4.500 1.400-7-2-10-.3");
export const GearIcon = path("M3.500 6H10M15 6h1.500M3.500 14H5M10 14h6.500M12.500 8.300a2.300 2.300 0 1 0 0-4.600 2.300 2.300 0 0 0 0 4.600ZM7.500 16.300a2.300 2.300 0 1 0 0-4.600 2.300 2.300 0 0 0 0 4.600Z");
export const CopyIcon = path("M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3");
export const BanIcon = path("M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15ZM4.700 4.700l10.600 10.600");
export const ClockIcon = path("M10 17.500a7.500 7.500 0 1 0 0-15 7.500 7.500 0 0 0 0 15ZM10 5.800V10l2.800 1.800");
export const ScrollIcon = path("M5 3.500h10v13H5zM7.500 7h5M7.500 10h5M7.500 13h3");
export const ChatIcon = path("M4 4.500h12v8.500H9l-3.500 3v-3H4z");
export const CheckIcon = path("m4.500 10.500 3.500 3.500 7.500-8");
export const RoleIcon = path("M10 3 4.500 5v4.500c0 3.500 2.300 6 5.500 7.500 3.200-1.500 5.500-4 5.500-7.500V5L10 3Z");
export const PaperclipIcon = path("M13.800 6.800 8 12.600a1.700 1.700 0 0 1-2.400-2.400l6.400-6.400a3.200 3.200 0 0 1 4.500 4.500l-6.700 6.700a4.700 4.700 0 0 1-6.600-6.600l5.600-5.600");

/** The mark: three voices in one bubble. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M16 3c7.700 0 13 4.900 13 11.500S23.700 26 16 26c-1.300 0-2.600-.15-3.800-.43L6.300 28.700c-.8.400-1.700-.3-1.500-1.200l1.100-4.600C4 20.900 3 17.900 3 14.500 3 7.900 8.300 3 16 3Z" fill="currentColor" />
      <g className="mark-voices">
        <rect x="9" y="11.500" width="3" height="6" rx="1.500" />
        <rect x="14.500" y="8.500" width="3" height="12" rx="1.500" />
        <rect x="20" y="11.500" width="3" height="6" rx="1.500" />
      </g>
    </svg>
  );
}
