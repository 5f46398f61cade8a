import { CircleAlert } from 'lucide-react';
import { type SubmitEvent, useRef, useState } from 'react';
import { ApiError } from '@/api/http';
import type { AuthMode } from '@/components/auth/AuthPage';
import { Field } from '@/components/auth/Field';
import { PASSWORD_LENGTH_MIN } from '@/constants/limits';
import { useAuth } from '@/contexts/AuthContext';

const FIELDS = ['name', 'email', 'password'] as const;
type FieldName = (typeof FIELDS)[number];
type Values = Record<FieldName, string>;
type Errors = Partial<Record<FieldName | 'form', string>>;

/** The form itself. What is wrong is said at the field it is about, which gets the focus. */
export function AuthForm({ mode }: { mode: AuthMode }) {
  const auth = useAuth();
  const form = useRef<HTMLFormElement>(null);
  const [values, setValues] = useState<Values>({ name: '', email: '', password: '' });
  const [errors, setErrors] = useState<Errors>({});
  const [isBusy, setBusy] = useState(false);
  const isNew = mode === 'sign-up';

  const show = (found: Errors) => {
    setErrors(found);
    const first = FIELDS.find((name) => found[name] !== undefined);
    if (first !== undefined) {
      form.current?.querySelector<HTMLInputElement>(`[name="${first}"]`)?.focus();
    }
  };

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const found = check(values, isNew);
    show(found);
    if (isBusy || Object.keys(found).length > 0) {
      return;
    }
    setBusy(true);
    try {
      await (isNew ? auth.signUp(values) : auth.signIn(values));
    } catch (error) {
      show(errorsOf(error));
    }
    setBusy(false);
  };

  const field = (name: FieldName) => ({
    name,
    value: values[name],
    error: errors[name],
    required: true,
    onChange: (event: { target: { value: string } }) => {
      setValues({ ...values, [name]: event.target.value });
      setErrors({ ...errors, [name]: undefined, form: undefined });
    },
  });

  return (
    <form ref={form} className="auth__form" noValidate onSubmit={submit} aria-busy={isBusy}>
      <div role="alert">
        {errors.form !== undefined && (
          <p className="notice notice--bad">
            <CircleAlert aria-hidden="true" />
            {errors.form}
          </p>
        )}
      </div>
      {isNew && <Field {...field('name')} label="Name" autoComplete="name" />}
      <Field
        {...field('email')}
        label="E-mail"
        type="email"
        autoComplete="email"
        autoCapitalize="none"
        spellCheck={false}
      />
      <Field
        {...field('password')}
        label="Password"
        type="password"
        autoComplete={isNew ? 'new-password' : 'current-password'}
        {...(isNew ? { hint: `At least ${PASSWORD_LENGTH_MIN} characters.` } : {})}
      />
      <button type="submit" className="button button--wide" disabled={isBusy}>
        {isBusy ? 'One moment…' : isNew ? 'Create account' : 'Sign in'}
      </button>
    </form>
  );
}

function check({ name, email, password }: Values, isNew: boolean): Errors {
  const errors: Errors = {};
  if (isNew && name.trim() === '') {
    errors.name = 'Tell us what to call you.';
  }
  if (!/^[^\s@]+@[^\s@]+$/.test(email.trim())) {
    errors.email = 'Enter an e-mail address, like ada@example.org.';
  }
  if (password === '') {
    errors.password = isNew
      ? `Choose a password of at least ${PASSWORD_LENGTH_MIN} characters.`
      : 'Enter your password.';
  } else if (isNew && Array.from(password).length < PASSWORD_LENGTH_MIN) {
    errors.password = `Use at least ${PASSWORD_LENGTH_MIN} characters.`;
  }
  return errors;
}

function errorsOf(error: unknown): Errors {
  if (!(error instanceof ApiError)) {
    return { form: error instanceof Error ? error.message : 'Something went wrong. Try again.' };
  }
  if (error.code === 'email_taken') {
    return { email: error.message };
  }
  const field = FIELDS.find((name) => name === error.field);
  return field === undefined ? { form: error.message } : { [field]: error.message };
}
