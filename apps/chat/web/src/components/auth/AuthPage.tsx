import { useSelector } from 'react-redux';
import { AuthForm } from '@/components/auth/AuthForm';
import { TetherMark } from '@/components/ui/TetherMark';
import { navigate, signInPath } from '@/hooks/use-route';
import { useTitle } from '@/hooks/use-title';
import { selectNotice } from '@/store/slices/authSlice';

export type AuthMode = 'sign-in' | 'sign-up';

const WORDS = {
  'sign-in': {
    title: 'Welcome back',
    lead: 'Sign in to pick up every conversation where you left it.',
    other: 'New here?',
    otherLink: 'Create an account',
    otherMode: 'sign-up',
  },
  'sign-up': {
    title: 'Create your account',
    lead: 'All it takes is a name, an e-mail address and a password.',
    other: 'Already have an account?',
    otherLink: 'Sign in',
    otherMode: 'sign-in',
  },
} as const;

interface Props {
  mode: AuthMode;
  /** The conversation to which this leads. */
  next: string | null;
}

/** Signing in and signing up: one card, two forms. */
export function AuthPage({ mode, next }: Props) {
  const words = WORDS[mode];
  const otherPath = signInPath(words.otherMode, next);
  const notice = useSelector(selectNotice);
  useTitle(mode === 'sign-in' ? 'Sign in' : 'Create an account');
  return (
    <main className="auth">
      <div className="auth__card">
        <div className="auth__side">
          <p className="brand">
            <TetherMark />
            Tetherline
          </p>
          <Rope />
          <p className="auth__claim">
            Lose the network,
            <br />
            not the thread.
          </p>
        </div>
        <section className="auth__main" aria-labelledby="auth-title">
          <h1 id="auth-title">{words.title}</h1>
          <p className="auth__lead">{words.lead}</p>
          {notice !== null && (
            <p className="notice" role="status">
              {notice}
            </p>
          )}
          <AuthForm mode={mode} />
          <p className="auth__other">
            {words.other}{' '}
            <a
              href={otherPath}
              onClick={(event) => {
                event.preventDefault();
                navigate(otherPath);
              }}
            >
              {words.otherLink}
            </a>
          </p>
        </section>
      </div>
    </main>
  );
}

function Rope() {
  return (
    <svg className="auth__rope" viewBox="0 0 320 300" aria-hidden="true">
      <path d="M40 28 C 40 170, 300 60, 262 172 S 96 190, 128 252 S 250 276, 290 262" />
      <circle cx="40" cy="28" r="9" />
      <circle cx="262" cy="172" r="6" />
      <circle cx="128" cy="252" r="6" />
      <circle cx="290" cy="262" r="9" />
    </svg>
  );
}
