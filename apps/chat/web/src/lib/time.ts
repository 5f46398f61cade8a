const DAY_MS = 86_400_000;

const TIME = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' });
// Months stand among English words.
const MONTH = new Intl.DateTimeFormat('en', { month: 'long' });
const MONTH_AND_YEAR = new Intl.DateTimeFormat('en', { month: 'long', year: 'numeric' });

/** How long ago something was, in the days of this place's calendar. */
export function periodOf(iso: string, today: Date): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) {
    return 'Earlier';
  }
  const days = daysBetween(date, today);
  if (days <= 1) {
    // What comes from a clock that is ahead of this one happened now.
    return days <= 0 ? 'Today' : 'Yesterday';
  }
  if (days <= 30) {
    return days <= 7 ? 'Previous 7 days' : 'Previous 30 days';
  }
  const isThisYear = date.getFullYear() === today.getFullYear();
  return (isThisYear ? MONTH : MONTH_AND_YEAR).format(date);
}

/** In the order in which they come, by what each is filed under. */
export function grouped<Item>(
  items: readonly Item[],
  labelOf: (item: Item) => string,
): { label: string; items: Item[] }[] {
  const groups: { label: string; items: Item[] }[] = [];
  for (const item of items) {
    const label = labelOf(item);
    const last = groups.at(-1);
    if (last?.label === label) {
      last.items.push(item);
    } else {
      groups.push({ label, items: [item] });
    }
  }
  return groups;
}

/** What tells it from its neighbours: the time of the last two days, the day of all before. */
export function shortTimeOf(iso: string, today: Date): string {
  return formatted(daysBetween(new Date(iso), today) <= 1 ? TIME : DAY, iso);
}

export function exactTimeOf(iso: string): string {
  return formatted(EXACT, iso);
}

function formatted(format: Intl.DateTimeFormat, iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? '' : format.format(date);
}

/** Midnights are 23 to 25 hours apart. */
function daysBetween(earlier: Date, later: Date): number {
  return Math.round((startOf(later) - startOf(earlier)) / DAY_MS);
}

function startOf(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}
