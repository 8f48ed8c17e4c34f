/** A contract with one of each: a singleton, nested objects, an object that may be absent, nested lists, every form. */
export const SCENE = {
  type: 'object',
  properties: {
    scene: {
      type: 'object',
      properties: { title: { type: 'string', default: 'A scene' }, grid: { type: 'object', properties: { step: { type: 'number', default: 15 } } } },
    },
    annotation: {
      type: 'array',
      maxItems: 50,
      'x-sql': { order: 'order' },
      items: {
        type: 'object',
        required: ['id', 'name'],
        properties: {
          id: { type: 'string', maxLength: 64 },
          name: { type: 'string', minLength: 1 },
          order: { type: 'string' },
          x: { type: 'number', default: 0, maximum: 1000 },
          count: { type: 'integer' },
          locked: { type: 'boolean', default: false },
          note: { type: ['string', 'null'] },
          tags: { type: 'array', items: { type: 'string' }, default: [] },
          icon: { type: 'string', contentEncoding: 'base64' },
          label: { type: ['string', 'integer'] },
          text: {
            type: 'object',
            properties: {
              content: { type: 'string', default: '' },
              font: { type: 'object', properties: { size: { type: 'number', default: 12, minimum: 1 }, family: { type: 'string', default: 'sans' } } },
            },
          },
          anchor: {
            type: 'object',
            required: ['target'],
            properties: { target: { type: 'string' }, offset: { type: 'number', default: 5 } },
          },
          points: {
            type: 'array',
            maxItems: 9,
            items: {
              type: 'object',
              required: ['id'],
              properties: {
                id: { type: 'string' }, x: { type: 'number', default: 0 }, y: { type: 'number' },
                marks: { type: 'array', items: { type: 'object', properties: { size: { type: 'integer' } } } },
              },
            },
          },
        },
      },
    },
    todo: {
      type: 'array',
      items: {
        type: 'object', required: ['id'],
        properties: { id: { type: 'integer' }, title: { type: 'string' }, done: { type: 'boolean', default: false } },
      },
    },
  },
} as const;
