// Jest as applications have it: jsdom, CommonJS, a transformer for what is TypeScript or ESM.
module.exports = {
  rootDir: '../..',
  testMatch: ['<rootDir>/tests/jest/*.jest.tsx'],
  testEnvironment: 'jsdom',
  transform: { '\\.[jt]sx?$': '<rootDir>/tests/jest/transform.cjs' },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  cache: false,
};
