/** The product's sign: two knots that one line holds together. */
export function TetherMark({ size = 28 }: { size?: number }) {
  return (
    <svg className="tether-mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect className="tether-mark__ground" width="32" height="32" rx="9" />
      <path className="tether-mark__line" d="M9 11c0 10 14 0 14 10" />
      <circle className="tether-mark__knot" cx="9" cy="10" r="3.4" />
      <circle className="tether-mark__knot" cx="23" cy="22" r="3.4" />
    </svg>
  );
}
