import { ChevronsUpDown, LogOut, Monitor, Moon, Sun } from 'lucide-react';
import { type FocusEvent, type KeyboardEvent, useId, useRef, useState } from 'react';
import { toast } from 'sonner';
import { useAuth } from '@/contexts/AuthContext';
import { type Theme, useTheme } from '@/hooks/use-theme';
import type { User } from '@/types/chat';

const THEMES: { theme: Theme; label: string; Icon: typeof Sun }[] = [
  { theme: 'light', label: 'Light', Icon: Sun },
  { theme: 'dark', label: 'Dark', Icon: Moon },
  { theme: 'system', label: 'System', Icon: Monitor },
];

/** Who is signed in; opens to the theme and to signing out. */
export function AccountMenu({ user }: { user: User }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const [isOpen, setOpen] = useState(false);

  const closeOnEscape = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && isOpen) {
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    }
  };
  const closeOnLeave = (event: FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) {
      setOpen(false);
    }
  };

  return (
    <div className="account" onKeyDown={closeOnEscape} onBlur={closeOnLeave}>
      {isOpen && (
        <div id={id} className="account__panel">
          <p className="account__email">{user.email}</p>
          <ThemeChoice />
          <SignOut />
        </div>
      )}
      <button
        ref={button}
        type="button"
        className="account__button"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        aria-label={`Account of ${user.name}`}
        onClick={() => setOpen(!isOpen)}
      >
        <span className="account__initial" aria-hidden="true">
          {Array.from(user.name.trim())[0]?.toUpperCase() ?? '?'}
        </span>
        <span className="account__name">{user.name}</span>
        <ChevronsUpDown aria-hidden="true" />
      </button>
    </div>
  );
}

function ThemeChoice() {
  const { theme: chosen, setTheme } = useTheme();
  const name = useId();
  return (
    <fieldset className="themes">
      <legend>Theme</legend>
      <div className="themes__choices">
        {THEMES.map(({ theme, label, Icon }) => (
          <label key={theme}>
            <input
              type="radio"
              name={name}
              checked={theme === chosen}
              onChange={() => setTheme(theme)}
            />
            <span>
              <Icon aria-hidden="true" />
              {label}
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function SignOut() {
  const auth = useAuth();
  const signOut = () => {
    auth.signOut().catch(() => {
      toast.warning(
        'You are signed out in this browser, but the server could not be told. Sign in and out again when you are back online.',
      );
    });
  };
  return (
    <button type="button" className="account__action" onClick={signOut}>
      <LogOut aria-hidden="true" />
      Sign out
    </button>
  );
}
