/** Buttons: one look for what does something. */
import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon';

type Props = ButtonHTMLAttributes<HTMLButtonElement> & {
  icon?: IconName;
  look?: 'plain' | 'main' | 'danger' | 'quiet';
  children?: ComponentChildren;
};

export function Button({ icon, look = 'plain', children, ...rest }: Props) {
  return (
    <button type="button" class={`button button-${look}`} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}
