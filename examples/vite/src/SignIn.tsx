export function SignIn({ onSignIn }: { onSignIn: (user: string) => void }) {
  return (
    <main>
      <h1>Notes</h1>
      <p>Sign in under any name, then write to somebody who has another one.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onSignIn(String(new FormData(event.currentTarget).get('user')));
        }}
      >
        <label>
          Your name
          <input name="user" required pattern="[a-z0-9]{1,32}" title="Small letters and digits" />
        </label>
        <button>Sign in</button>
      </form>
    </main>
  );
}
