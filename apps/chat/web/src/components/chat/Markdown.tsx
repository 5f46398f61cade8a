import type { Element } from 'hast';
import { Square, SquareCheck } from 'lucide-react';
import type { List, ListItem, Root, RootContent } from 'mdast';
import { Component, type ComponentType, memo, type ReactNode, useState } from 'react';
import { StreamMarkdown, toHtml } from 'tetherline-markdown';
import { CodeBlock } from '@/components/chat/CodeBlock';
import { Formula } from '@/components/chat/Formula';
import { StreamingContext } from '@/contexts/StreamingContext';
import { useOverflow } from '@/hooks/use-overflow';
import { type ElementProps, toJsx } from '@/lib/markdown/jsx';

interface Props {
  children: string;
  /** More of it is being written: only its last block is looked at again, and looks finished. */
  isStreaming?: boolean;
}

/** Somebody's text as Markdown. Raw HTML stays text; only web and mail links become links. */
export const Markdown = memo(function Markdown(props: Props) {
  return (
    <OrPlain text={props.children}>
      <Rendered {...props} />
    </OrPlain>
  );
});

/** No text of anybody's, whatever a parser makes of it, takes the rest of the page with it. */
class OrPlain extends Component<{ text: string; children: ReactNode }, { hasFailed: boolean }> {
  override state = { hasFailed: false };

  static getDerivedStateFromError() {
    return { hasFailed: true };
  }

  override render() {
    return this.state.hasFailed ? (
      <p className="markdown markdown--plain">{this.props.text}</p>
    ) : (
      this.props.children
    );
  }
}

function Rendered({ children, isStreaming = false }: Props) {
  const [text] = useState(() => new StreamMarkdown());
  const reading = text.read(children, isStreaming);
  return (
    <div className="markdown" data-streaming={isStreaming || undefined}>
      {reading.kind === 'whole'
        ? render(reading.document)
        : reading.blocks.map((block, index) => (
            <StreamingContext key={index} value={isStreaming && index >= reading.settled}>
              {block.type === 'list' ? <ListBlock list={block} /> : <Block node={block} />}
            </StreamingContext>
          ))}
    </div>
  );
}

const Block = memo(function Block({ node }: { node: RootContent }) {
  return render({ type: 'root', children: [node] });
});

/** Item by item, since a list may be as long as the whole answer. */
const ListBlock = memo(function ListBlock({ list }: { list: List }) {
  const Tag = list.ordered === true ? 'ol' : 'ul';
  const isLoose = list.spread === true || list.children.some(({ spread }) => spread === true);
  const hasTasks = list.children.some(({ checked }) => typeof checked === 'boolean');
  const start = typeof list.start === 'number' && list.start !== 1 ? list.start : undefined;
  return (
    <Tag {...(start === undefined ? {} : { start })} className={hasTasks ? TASKS : undefined}>
      {list.children.map((item, index) => (
        <Item key={index} item={item} isLoose={isLoose} />
      ))}
    </Tag>
  );
});

/** What the library calls a list that has tasks. */
const TASKS = 'contains-task-list';

const Item = memo(function Item({ item, isLoose }: { item: ListItem; isLoose: boolean }) {
  const list: List = { type: 'list', spread: isLoose, children: [item] };
  const [element] = toHtml({ type: 'root', children: [list] }).children;
  const children = element?.type === 'element' ? element.children : [];
  return toJsx(children, MARKDOWN_COMPONENTS);
});

function render(document: Root): ReactNode {
  return toJsx(toHtml(document).children, MARKDOWN_COMPONENTS);
}

/** What stands for which element. */
export const MARKDOWN_COMPONENTS: Record<string, ComponentType<ElementProps>> = {
  a: ({ href, children }) => <Link href={href}>{children}</Link>,
  // A picture would tell its server who reads this, and when: it is offered instead.
  img: ({ src, alt }) => <Link href={src}>{`Picture: ${alt ?? 'untitled'}`}</Link>,
  input: ({ checked = false }) => <TaskBox isDone={checked} />,
  pre: ({ node }) => <CodeBlock {...codeOf(node)} />,
  table: ({ children }) => <Table>{children}</Table>,
  formula: ({ node }) => (
    <Formula source={textOf(node)} isDisplay={node.properties['display'] === 'block'} />
  ),
};

/** The box of a task: nobody can tick it, so that it is a sign and no control. */
function TaskBox({ isDone }: { isDone: boolean }) {
  const [Icon, label] = isDone ? [SquareCheck, 'Done'] : [Square, 'To do'];
  return <Icon className="task" data-done={isDone} role="img" aria-label={label} />;
}

function Table({ children }: { children: ReactNode }) {
  const overflow = useOverflow<HTMLDivElement>('Table');
  return (
    <div className="markdown__table">
      <div className="scroll" {...overflow}>
        <table>{children}</table>
      </div>
    </div>
  );
}

function Link({ href, children }: { href: string | undefined; children: ReactNode }) {
  if (href === undefined || !isSafe(href)) {
    return <span>{children}</span>;
  }
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

function isSafe(url: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(url);
}

/** What the class that names a block's language begins with. */
const LANGUAGE = 'language-';

function codeOf(block: Element): { language: string | undefined; code: string } {
  const code = block.children.find((child) => child.type === 'element');
  const classes = code?.properties['className'];
  const names = Array.isArray(classes) ? classes.filter((name) => typeof name === 'string') : [];
  const language = names.find((name) => name.startsWith(LANGUAGE))?.slice(LANGUAGE.length);
  return { language, code: code === undefined ? '' : textOf(code) };
}

function textOf({ children }: Element): string {
  return children.map((child) => (child.type === 'text' ? child.value : '')).join('');
}
