import { fireEvent, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { App } from '@/App';
import { QuestionEditor } from '@/components/chat/QuestionEditor';
import { givenChat, WAIT } from './support/app';

const context = givenChat();
const say = userEvent.setup();

/** How Safari tells of the Enter that confirms what an input method has composed. */
function confirmAsSafariDoes(box: HTMLElement, text: string) {
  fireEvent.compositionStart(box);
  fireEvent.change(box, { target: { value: text } });
  fireEvent.compositionEnd(box, { data: text });
  fireEvent.keyDown(box, { key: 'Enter', keyCode: 229, isComposing: false });
}

const enter = (box: HTMLElement) => fireEvent.keyDown(box, { key: 'Enter', keyCode: 13 });

// Safari's compositionend comes before the keydown, so that nothing seemed to be composed any more.
describe('the Enter that confirms what an input method composed', () => {
  it('does not send a question, and the next one does', async () => {
    await context.renderConnected(<App />);
    const box = await screen.findByRole('textbox', { name: 'Message' });
    confirmAsSafariDoes(box, '日本');
    expect((box as HTMLTextAreaElement).value).toBe('日本');
    enter(box);
    await waitFor(() => expect(context.chat.framesOf('message_generate')).toHaveLength(1), WAIT);
  });

  it('does not send an edited question, and the next one does', () => {
    const onSend = vi.fn();
    context.render(<QuestionEditor content="橋" onSend={onSend} onCancel={() => {}} />);
    const box = screen.getByRole('textbox', { name: 'Edit question' });
    confirmAsSafariDoes(box, '日本');
    expect(onSend).not.toHaveBeenCalled();
    enter(box);
    expect(onSend).toHaveBeenCalledWith('日本');
  });
});

describe('Escape', () => {
  // The drawer hears of it before any element in it does: both closed at once.
  it('closes the menu in the drawer, then the drawer, and the focus goes back each time', async () => {
    await context.renderConnected(<App />);
    const opener = await screen.findByRole('button', { name: 'Conversations', hidden: true });
    await say.click(opener);
    const drawer = await screen.findByRole('dialog');
    const account = within(drawer).getByRole('button', { name: /Account/ });
    await say.click(account);
    within(drawer).getByRole('menu');

    await say.keyboard('{Escape}');
    expect(screen.queryByRole('menu')).toBeNull();
    expect(document.activeElement).toBe(account);
    screen.getByRole('dialog');

    await say.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
    expect(document.activeElement).toBe(opener);
  });
});
