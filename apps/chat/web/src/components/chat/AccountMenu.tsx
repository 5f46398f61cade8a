import { Check, ChevronsUpDown, LogOut, Monitor, Moon, Sun } from 'lucide-react';
import { type FocusEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { toast } from 'sonner';
import { useAuth } from '@/contexts/AuthContext';
import { useEscape } from '@/hooks/use-escape';
import { type Theme, useTheme } from '@/hooks/use-theme';
import type { User } from '@/types/chat';

/** Who is signed in; opens to the theme and to signing out. */
export function AccountMenu({ user }: { user: User }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const [isOpen, setOpen] = useState(false);

  useEscape(isOpen, () => {
    setOpen(false);
    button.current?.focus();
  });
  const closeOnLeave = (event: FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) {
      setOpen(false);
    }
  };

  return (
    <div className="account" onBlur={closeOnLeave}>
      {isOpen && (
        <div className="account__panel">
          <p className="account__email">{user.email}</p>
          <MenuItems id={id} />
        </div>
      )}
      <button
        ref={button}
        type="button"
        className="account__button"
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        // Safari gives a button no focus: the menu would lose its own, close, and open again.
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => setOpen(!isOpen)}
      >
        <span className="account__initial" aria-hidden="true">
          {Array.from(user.name.trim())[0]?.toUpperCase() ?? '?'}
        </span>
        <span className="account__name">
          <span className="visually-hidden">Account of </span>
          {user.name}
        </span>
        <ChevronsUpDown aria-hidden="true" />
      </button>
    </div>
  );
}

const THEMES: { theme: Theme; label: string; Icon: typeof Sun }[] = [
  { theme: 'light', label: 'Light', Icon: Sun },
  { theme: 'dark', label: 'Dark', Icon: Moon },
  { theme: 'system', label: 'Same as system', Icon: Monitor },
];

function MenuItems({ id }: { id: string }) {
  const menu = useRef<HTMLDivElement>(null);
  const auth = useAuth();
  const { theme: chosen, setTheme } = useTheme();

  useEffect(() => {
    itemsOf(menu.current)[0]?.focus();
  }, []);

  const signOut = () => {
    auth.signOut().catch(() => {
      toast.warning(
        'You are signed out in this browser, but the server could not be told. To be sure, sign in and out once more when you are back online.',
      );
    });
  };

  return (
    <div
      ref={menu}
      id={id}
      role="menu"
      aria-label="Account"
      onKeyDown={(event) => moveFocus(event, itemsOf(menu.current))}
    >
      <div role="group" aria-label="Theme">
        {THEMES.map(({ theme, label, Icon }) => (
          <button
            key={theme}
            type="button"
            role="menuitemradio"
            aria-checked={theme === chosen}
            tabIndex={-1}
            className="account__action"
            onClick={() => setTheme(theme)}
          >
            <Icon aria-hidden="true" />
            <span>{label}</span>
            {theme === chosen && <Check aria-hidden="true" />}
          </button>
        ))}
      </div>
      <hr />
      <button
        type="button"
        role="menuitem"
        tabIndex={-1}
        className="account__action"
        onClick={signOut}
      >
        <LogOut aria-hidden="true" />
        <span>Sign out</span>
      </button>
    </div>
  );
}

function itemsOf(menu: HTMLElement | null): HTMLElement[] {
  return Array.from(menu?.querySelectorAll<HTMLElement>('[role^="menuitem"]') ?? []);
}

function moveFocus(event: KeyboardEvent, items: HTMLElement[]): void {
  const at = items.findIndex((item) => item === document.activeElement);
  const next = {
    ArrowDown: (at + 1) % items.length,
    ArrowUp: (at - 1 + items.length) % items.length,
    Home: 0,
    End: items.length - 1,
  }[event.key];
  if (next !== undefined) {
    event.preventDefault();
    items[next]?.focus();
  }
}
