import { ChevronLeft, ChevronRight } from 'lucide-react';
import { useDispatch } from 'react-redux';
import type { Place } from '@/lib/tree';
import { versionChosen } from '@/store/slices/conversationSlice';

/** Which of its versions a message is, and the way to the others. */
export function VersionPager({
  place: { uuid, fork, versions },
  conversationUuid,
}: {
  place: Place;
  conversationUuid: string;
}) {
  const dispatch = useDispatch();
  if (versions.length < 2) {
    return null;
  }
  const index = versions.indexOf(uuid);
  const show = (version: string | undefined) => {
    if (version !== undefined) {
      dispatch(versionChosen({ conversationUuid, fork, uuid: version }));
    }
  };
  const [previous, next] = [index > 0 ? versions[index - 1] : undefined, versions[index + 1]];
  return (
    <div className="pager" role="group" aria-label="Versions">
      {/* Not `disabled`: whoever pages to the end keeps the focus. */}
      <button
        type="button"
        className="text-button text-button--quiet"
        aria-label="Previous version"
        aria-disabled={previous === undefined}
        onClick={() => show(previous)}
      >
        <ChevronLeft aria-hidden="true" />
      </button>
      <span className="pager__place" role="status">
        <span aria-hidden="true">
          {index + 1}/{versions.length}
        </span>
        <span className="visually-hidden">
          Version {index + 1} of {versions.length}
        </span>
      </span>
      <button
        type="button"
        className="text-button text-button--quiet"
        aria-label="Next version"
        aria-disabled={next === undefined}
        onClick={() => show(next)}
      >
        <ChevronRight aria-hidden="true" />
      </button>
    </div>
  );
}
