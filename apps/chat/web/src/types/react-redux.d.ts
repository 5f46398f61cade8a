import type { EqualityFn } from 'react-redux';
import type { RootState } from '@/store';

declare module 'react-redux' {
  // Lets `useSelector((state) => …)` know this application's state without an annotation. Merging
  // asks for the original's type parameter, which is of no use here.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface UseSelector<StateType = unknown> {
    <Selected>(
      selector: (state: RootState) => Selected,
      equalityFn?: EqualityFn<Selected>,
    ): Selected;
  }
}
