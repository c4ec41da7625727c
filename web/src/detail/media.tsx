/** Images and audio that came within a body, from their bytes. Nothing is fetched from elsewhere. */
import { useEffect, useState } from 'preact/hooks';
import { bytes as showBytes } from '../format';

/** What is shown as media: formats that hold no script. */
const IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);
const AUDIO = new Set([
  'audio/mpeg',
  'audio/wav',
  'audio/x-wav',
  'audio/ogg',
  'audio/flac',
  'audio/aac',
]);

export interface Medium {
  type: string;
  data: Uint8Array<ArrayBuffer>;
}

const DATA_URL = /^data:([a-z]+\/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=\s]+)$/;

export function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text.replace(/\s+/g, '')), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/** The type that the first bytes tell; what they do not tell is not media. */
function sniff(data: Uint8Array): string {
  const head = String.fromCharCode(...data.slice(0, 12));
  if (head.startsWith('\x89PNG')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('GIF8')) return 'image/gif';
  if (head.startsWith('RIFF')) return head.slice(8) === 'WEBP' ? 'image/webp' : 'audio/wav';
  if (head.startsWith('ID3') || /^\xff[\xf2\xf3\xfb]/.test(head)) return 'audio/mpeg';
  if (head.startsWith('OggS')) return 'audio/ogg';
  if (head.startsWith('fLaC')) return 'audio/flac';
  return '';
}

export function mediumOf(data: Uint8Array<ArrayBuffer> | null): Medium | null {
  const type = data ? sniff(data) : '';
  return data && (IMAGES.has(type) || AUDIO.has(type)) ? { type, data } : null;
}

/** The medium in a text: a data URL, or nothing. */
export function mediumIn(text: string): Medium | null {
  const found = DATA_URL.exec(text);
  return found?.[2] ? mediumOf(fromBase64(found[2])) : null;
}

const MEMBERS = new Set(['b64_json', 'data', 'url', 'image_url', 'result']);
const MEDIA_MAX = 32;

/** Every medium within a JSON body, in order. */
export function mediaWithin(body: string): Medium[] {
  let root: unknown;
  try {
    root = JSON.parse(body);
  } catch {
    return [];
  }
  const found: Medium[] = [];
  const walk = (value: unknown, name: string): void => {
    if (found.length >= MEDIA_MAX) return;
    if (typeof value === 'string' && MEMBERS.has(name) && value.length > 64) {
      const medium = mediumIn(value) ?? mediumOf(fromBase64(value));
      if (medium) found.push(medium);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value))
        walk(inner, Array.isArray(value) ? name : key);
    }
  };
  walk(root, '');
  return found;
}

export function Media({ medium, name }: { medium: Medium; name: string }) {
  const [url, setUrl] = useState('');
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([medium.data], { type: medium.type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [medium]);
  if (!url) return null;
  return (
    <figure class="medium">
      {IMAGES.has(medium.type) ? (
        <img src={url} alt={name} />
      ) : (
        // biome-ignore lint/a11y/useMediaCaption: recorded sound; its text stands beside it where there is one
        <audio src={url} controls aria-label={name} />
      )}
      <figcaption class="muted">
        {name}, {medium.type}, {showBytes(medium.data.length)}
      </figcaption>
    </figure>
  );
}
