import { Eye, EyeOff, TriangleAlert } from 'lucide-react';
import { type InputHTMLAttributes, type Ref, useId, useState } from 'react';

interface Props extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  hint?: string;
  error: string | undefined;
  ref?: Ref<HTMLInputElement>;
}

/** One labelled input with what is wrong with it. A password can be looked at. */
export function Field({ label, hint, error, type = 'text', ref, ...input }: Props) {
  const id = useId();
  const [isShown, setShown] = useState(false);
  const note = error ?? hint;
  const isPassword = type === 'password';
  return (
    <div className="field" data-invalid={error !== undefined}>
      <label htmlFor={id}>{label}</label>
      <div className="field__box">
        <input
          {...input}
          ref={ref}
          id={id}
          type={isPassword && isShown ? 'text' : type}
          aria-invalid={error !== undefined}
          aria-describedby={note === undefined ? undefined : `${id}-note`}
        />
        {isPassword && (
          <button
            type="button"
            className="icon-button field__reveal"
            aria-label={isShown ? 'Hide the password' : 'Show the password'}
            aria-pressed={isShown}
            onClick={() => setShown(!isShown)}
          >
            {isShown ? <EyeOff aria-hidden="true" /> : <Eye aria-hidden="true" />}
          </button>
        )}
      </div>
      {note !== undefined && (
        <p id={`${id}-note`} className="field__note">
          {error !== undefined && <TriangleAlert aria-hidden="true" />}
          {note}
        </p>
      )}
    </div>
  );
}
