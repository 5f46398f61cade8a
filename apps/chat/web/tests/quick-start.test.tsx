import { render, screen, waitFor } from '@testing-library/react';
import { type ComponentType, createElement } from 'react';
import { describe, expect, it, vi } from 'vitest';
import { MESSAGE_GENERATE } from '@/constants/websocket-events';
import { conversationOpened } from '@/store/slices/conversationSlice';
import { givenChat, WAIT } from './support/app';
import * as open from './support/open-names';
import { type BlockName, loadModule } from './support/quick-start';

const context = givenChat();

// This block is a test itself: loading it here registers it here.
describe('the mock of the testing section', async () => {
  await loadModule('mock');
});

async function component(block: BlockName, name = 'Fragment') {
  return createElement((await loadModule(block))[name] as ComponentType);
}

function answer(content: string, uuid = 'answer-1') {
  return {
    type: 'message_generate',
    conversation_uuid: 'c1',
    conversation: { uuid: 'c1', title: 'One', updated_at: '2026-01-01T00:00:00Z' },
    message: {
      uuid,
      role: 'assistant',
      content,
      status: 'complete',
      created_at: '2026-01-01T00:00:00Z',
    },
  };
}

function consoleLog() {
  return vi.spyOn(console, 'log').mockImplementation(() => {});
}

describe('option 1, the hook', () => {
  it('shows the connection and calls the handlers for both types', async () => {
    const log = consoleLog();
    await context.renderConnected(await component('hook', 'MyComponent'));
    await screen.findByText('🟢 Connected');
    context.chat.publish(answer('Hello'));
    context.chat.publish({ ...answer('Hello again'), type: 'message_regenerate' });
    await vi.waitFor(() => {
      expect(log).toHaveBeenCalledWith('AI message received:', expect.objectContaining({ seq: 1 }));
      expect(log).toHaveBeenCalledWith(
        'AI message regenerated:',
        expect.objectContaining({ seq: 2 }),
      );
    }, WAIT);
  });

  it('says that it is disconnected while nobody is signed in', async () => {
    context.render(await component('hook', 'MyComponent'));
    expect(screen.getByText('🔴 Disconnected')).toBeTruthy();
    expect(context.chat.sockets).toHaveLength(0);
  });

  it('says what is missing outside of the provider', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const outside = await component('hook', 'MyComponent');
    expect(() => render(outside)).toThrow(
      'useWebSocketContext must be used within a WebSocketInitializer provider.\n' +
        'Make sure WebSocketInitializer is present in your component tree,\n' +
        'after AuthInitializer and AuthProvider.',
    );
  });
});

describe('option 2, Redux', () => {
  it('dispatches messages to the store by itself', async () => {
    await context.renderConnected(await component('redux', 'ChatWindow'));
    await screen.findByText('Messages: Live');
    context.chat.publish(answer('Into the store'));
    await vi.waitFor(() => {
      const { messages } = context.store.getState().conversation;
      expect(messages.c1).toMatchObject([{ uuid: 'answer-1', content: 'Into the store' }]);
    }, WAIT);
  });
});

describe('option 3, the higher-order component', () => {
  it('passes the connection on, and handlers run', async () => {
    const log = consoleLog();
    await context.renderConnected(await component('hoc', 'default'));
    await screen.findByText('Connected');
    context.chat.publish(answer('Hello'));
    await vi.waitFor(
      () => expect(log).toHaveBeenCalledWith('Message:', expect.objectContaining({ seq: 1 })),
      WAIT,
    );
  });
});

describe('the real-world example', () => {
  it('adds what belongs to the open conversation, and only that', async () => {
    context.store.dispatch(conversationOpened('c1'));
    await context.renderConnected(await component('real-world', 'default'));
    await screen.findByText('🟢 Connected');
    context.chat.publish({ ...answer('Elsewhere', 'answer-0'), conversation_uuid: 'c2' });
    context.chat.publish(answer('First'));
    context.chat.publish({ ...answer('Better'), type: 'message_regenerate' });
    await vi.waitFor(() => {
      const { messages } = context.store.getState().conversation;
      expect(messages.c1).toMatchObject([{ uuid: 'answer-1', content: 'Better' }]);
      expect(messages.c2).toBeUndefined();
    }, WAIT);
  });
});

describe('the message types', () => {
  it('are named as on the wire', async () => {
    expect({ ...(await loadModule('constants')) }).toEqual({
      MESSAGE_GENERATE: 'message_generate',
      MESSAGE_REGENERATE: 'message_regenerate',
      CONNECTION_ESTABLISHED: 'connection_established',
      PONG: 'pong',
      PENDING_CHECK_COMPLETE: 'pending_check_complete',
      ERROR: 'error',
      PING: 'ping',
      GET_PENDING: 'get_pending',
    });
    expect((await loadModule('one-constant')).MESSAGE_GENERATE).toBe(MESSAGE_GENERATE);
  });
});

describe('the common tasks', () => {
  it('send a message, which gets an id', async () => {
    await context.renderConnected(await component('send'));
    await vi.waitFor(() => {
      expect(context.chat.framesOf('message_generate')[0]).toMatchObject({
        message: 'Hello, AI!',
        id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      });
    }, WAIT);
    expect(context.chat.framesOf('message_generate')[0]).not.toHaveProperty('conversation_uuid');
  });

  it('never leave a rejection unhandled, even when the server refuses', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    context.chat.accepts = false;
    await context.renderConnected(await component('send'));
    await vi.waitFor(() => {
      expect(context.chat.framesOf('message_generate').length).toBeGreaterThan(0);
    }, WAIT);
    for (const { id } of context.chat.framesOf('message_generate')) {
      context.chat.send({
        type: 'error',
        ref: id,
        code: 'rejected',
        message: 'Not today.',
        retryable: false,
      });
    }
    await screen.findByText('Not today.', undefined, WAIT);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('request what is pending', async () => {
    await context.renderConnected(await component('request-pending'));
    await vi.waitFor(() => {
      expect(context.chat.framesOf('get_pending').length).toBeGreaterThan(1);
    }, WAIT);
  });

  it('check the connection', async () => {
    const log = consoleLog();
    await context.renderConnected(await component('status'));
    await vi.waitFor(() => expect(log).toHaveBeenCalledWith('Connected!'), WAIT);
    context.chat.hangUp();
    await vi.waitFor(
      () =>
        expect(log).toHaveBeenCalledWith(expect.stringMatching(/^Reconnecting\.\.\. attempt \d+$/)),
      WAIT,
    );
  });

  it('register the handlers of several features, and all of them run', async () => {
    await context.renderConnected(await component('features', 'App'));
    await screen.findByText('App with WebSocket');
    for (const what of ['new', 'update', 'delete']) {
      context.chat.publish({ type: `notification_${what}` });
    }
    context.chat.publish(answer('Hello'));
    await vi.waitFor(() => {
      expect(open.handleNewNotification).toHaveBeenCalledOnce();
      expect(open.handleUpdateNotification).toHaveBeenCalledOnce();
      expect(open.handleDeleteNotification).toHaveBeenCalledOnce();
      expect(open.handleMessage).toHaveBeenCalledOnce();
    }, WAIT);
  });
});

describe('when something goes wrong', () => {
  it('a handler that catches says so in its own way', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    open.handleMessage.mockImplementationOnce(() => {
      throw new Error('That was too much.');
    });
    await context.renderConnected(await component('handler-errors'));
    context.chat.publish(answer('Hello'));
    await vi.waitFor(() => {
      expect(open.showErrorToast).toHaveBeenCalledWith('Message Failed', 'That was too much.');
    }, WAIT);
  });

  it('an error of the server shows a toast, and a frame that is no JSON stops nothing', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {});
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    await context.renderConnected(await component('conversation', 'ChatPanel'));
    context.chat.sendText('{ this is not JSON');
    context.chat.send({
      type: 'error',
      code: 'unavailable',
      message: 'The server rests for a moment.',
      retryable: true,
    });
    await screen.findByText('The server rests for a moment.', undefined, WAIT);
    expect(error).toHaveBeenCalled();
    context.chat.publish(answer('Still here'));
    await vi.waitFor(() => expect(open.updateUI).toHaveBeenCalledOnce(), WAIT);
  });
});

describe('debugging', () => {
  it('logs what the document lists', async () => {
    const log = consoleLog();
    await context.renderConnected(await component('debug-handlers'));
    expect(log).toHaveBeenCalledWith('Registering handlers...');
    context.chat.publish(answer('Hello'));
    context.chat.send({ type: 'pong', server_time: 'now' });
    await vi.waitFor(() => {
      expect(log).toHaveBeenCalledWith(
        'Handler called!',
        expect.objectContaining({ message: answer('Hello').message }),
      );
      expect(log).toHaveBeenCalledWith('WebSocket connected successfully');
      expect(log).toHaveBeenCalledWith('Connected to WebSocket channel');
      expect(log).toHaveBeenCalledWith('Received pong from server');
      expect(log).toHaveBeenCalledWith(
        'Handler called with:',
        expect.objectContaining({ type: 'message_generate' }),
      );
    }, WAIT);
    context.chat.hangUp();
    await vi.waitFor(() => expect(log).toHaveBeenCalledWith('WebSocket disconnected'), WAIT);
  });

  it('shows the status', async () => {
    const log = consoleLog();
    await context.renderConnected(await component('debug-status'));
    await vi.waitFor(() => {
      expect(log).toHaveBeenCalledWith('Connected:', true, 'Attempts:', 0);
    }, WAIT);
  });
});

describe('the best practices', () => {
  it.each<BlockName>(['clean-up', 'memo', 'group-hooks'])(
    '%s: handlers run until the component goes',
    async (block) => {
      const panel = await component('conversation', 'ChatPanel');
      const both = await component(block);
      const { rerender } = await context.renderConnected(both);
      context.chat.publish(answer('Hello'));
      await vi.waitFor(() => expect(open.handleMessage).toHaveBeenCalledOnce(), WAIT);
      rerender(context.app(panel));
      context.chat.publish(answer('Unheard', 'answer-2'));
      await vi.waitFor(() => expect(open.updateUI).toHaveBeenCalledOnce(), WAIT);
      expect(open.handleMessage).toHaveBeenCalledOnce();
    },
  );

  it('shows the connection in JSX', async () => {
    await context.renderConnected(await component('jsx'));
    await screen.findByText('🟢 Live');
    context.chat.hangUp();
    await screen.findByText('🔴 Offline', undefined, WAIT);
  });
});

describe('the examples at the end', () => {
  it.each([
    ['conversation', 'ChatPanel', 'message_generate', open.updateUI],
    ['notifications', 'NotificationCenter', 'notification_new', open.showNotification],
    ['analytics', 'AnalyticsDashboard', 'analytics_update', open.updateCharts],
  ] as const)('%s: %s hears %s', async (block, name, type, handler) => {
    await context.renderConnected(await component(block, name));
    context.chat.publish({ ...answer('Hello'), type });
    await waitFor(() => expect(handler).toHaveBeenCalledOnce(), WAIT);
    expect(handler).toHaveBeenCalledWith(expect.objectContaining({ type }));
  });
});
