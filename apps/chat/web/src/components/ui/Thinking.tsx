/** Somebody is at work on an answer. */
export function Thinking() {
  return (
    <div className="thinking">
      <span className="thinking__line" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span>Thinking…</span>
    </div>
  );
}
