import { expect, test } from '../support/fixtures.ts';
import { newAccount } from '../support/person.ts';

test('answering again keeps the old version, one page away, also by keyboard', async ({
  arrive,
  provider,
}) => {
  provider.replies.push({ text: 'The first answer.' }, { text: 'The second answer.' });
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('What do you think?');
  await expect(ada.answerText).toHaveText('The first answer.');
  await ada.answer.getByRole('button', { name: 'Answer again' }).click();
  await expect(ada.answerText).toHaveText('The second answer.');
  await expect(ada.answer.getByText('Version 2 of 2')).toHaveCount(1);

  const previous = ada.answer.getByRole('button', { name: 'Previous version' });
  await previous.focus();
  await ada.page.keyboard.press('Enter');
  await expect(ada.answerText).toHaveText('The first answer.');
  await expect(ada.answer.getByText('Version 1 of 2')).toHaveCount(1);
  await expect(previous).toBeFocused();

  // Elsewhere the newest one is shown.
  const other = await ada.anotherTab();
  await expect(other.answerText).toHaveText('The second answer.');
  await ada.answer.getByRole('button', { name: 'Next version' }).click();
  await expect(ada.answerText).toHaveText('The second answer.');
});

test('a question in other words begins a branch, and the old one is still there', async ({
  arrive,
}) => {
  const ada = await arrive();
  await ada.signUp(newAccount('Ada'));
  await ada.ask('What is a rope?');
  await expect(ada.said('You said: What is a rope?')).toHaveCount(1);
  await ada.ask('And a knot?');
  await expect(ada.said('You said: And a knot?')).toHaveCount(1);

  await ada.log.getByRole('button', { name: 'Edit question' }).first().click();
  const editor = ada.page.getByRole('textbox', { name: 'Edit question' });
  await expect(editor).toBeFocused();
  await editor.press('Escape');
  await expect(editor).toHaveCount(0);
  await expect(ada.log.getByRole('button', { name: 'Edit question' }).first()).toBeFocused();

  await ada.log.getByRole('button', { name: 'Edit question' }).first().click();
  await editor.fill('What is a chain?');
  await editor.press('Enter');
  await expect(ada.said('You said: What is a chain?')).toHaveCount(1);
  await expect(ada.said('And a knot?')).toHaveCount(0);
  await ada.ask('And a link?');
  await expect(ada.said('You said: And a link?')).toHaveCount(1);

  const question = ada.log.getByRole('listitem').first();
  await question.getByRole('button', { name: 'Previous version' }).click();
  await expect(ada.said('What is a rope?')).toHaveCount(1);
  await expect(ada.said('You said: And a knot?')).toHaveCount(1);
  await expect(ada.said('And a link?')).toHaveCount(0);
  // What is asked now follows what is shown.
  await ada.ask('And a bend?');
  await expect(ada.said('You said: And a bend?')).toHaveCount(1);

  await ada.page.reload();
  await expect(ada.said('You said: And a bend?')).toHaveCount(1);
  await question.getByRole('button', { name: 'Next version' }).click();
  await expect(ada.said('You said: And a link?')).toHaveCount(1);
  await expect(ada.said('And a bend?')).toHaveCount(0);
});
