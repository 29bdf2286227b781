/** The version in package.json, here because an executable packed into one file has no package.json to read. */
export const VERSION = '0.1.0';
