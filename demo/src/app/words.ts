/** Everything the page says, in English and in Chinese. Titles of properties come from the contract, in English; Chinese has its own. */
import { Cell, useCell } from '../cell';
import { titlesInChinese } from './titles';

const en = {
  language: 'en',
  other: '中文',
  opening: 'Opening the project',
  again: 'Try again',
  sceneProperties: 'Properties of the scene',
  you: (name: string) => `${name} (you)`,
  goToPerson: (name: string) => `Go to ${name}`,
  connection: { connecting: 'Connecting', online: 'Online', offline: 'Offline', closed: 'Closed' },
  waiting: (count: number) => `${count} waiting`,
  day: 'Day',
  night: 'Night',
  search: (count: string) => `Search ${count} places`,
  found: 'Found',
  largest: 'Largest cities',
  nothingFound: 'No place has this name.',
  layers: 'Layers',
  shapes: 'Routes and regions',
  hide: 'Hide for everybody',
  show: 'Show',
  moveLayer: 'Drag, or press Alt and an arrow key, to change the order',
  globe: 'Globe',
  map: 'Map',
  closer: 'Closer',
  farther: 'Farther',
  north: 'North up',
  add: 'Add place',
  addHere: 'Add a place here',
  newPlace: 'New place',
  credit: 'Places: GeoNames, CC BY 4.0',
  people: (count: string) => `${count} people`,
  dragToMove: 'Drag to move',
  routePoint: 'Route point',
  kinds: { annotation: 'Annotation', route: 'Route', 'route.points': 'Route point', area: 'Area', layer: 'Layer', scene: 'Scene' } as Record<string, string>,
  nothingSelected: 'Nothing selected',
  howToSelect: 'Click a city, a route or a region, or find one on the left.',
  howToMove: 'Drag what is selected to move it. Hold Shift to select several, by clicks or by a frame.',
  howToLook: [['drag', 'to move around'], ['wheel', 'to come closer'], ['right drag', 'to tilt']] as [string, string][],
  selectedCount: (count: number) => `${count} selected`,
  together: 'What is changed here is changed in all of them.',
  find: 'Find a property',
  changed: 'Changed',
  differ: (count: number) => `${count} differ from their defaults`,
  reset: (title: string) => `Reset ${title}`,
  toDefault: 'Back to the default',
  points: 'Points',
  point: 'Point',
  none: 'None',
  automatic: 'Automatic',
  showOnMap: 'Show on the map',
  remove: 'Remove',
  close: 'Close',
  ownWindow: 'In a window of its own',
  removed: 'What was selected has been removed.',
  readOnly: 'Read only',
  editSession: 'Edit session',
  live: 'Live',
  liveHint: 'Send every step of a drag, so that others see it move',
  sentWhenLetGo: 'Sent when you let go',
  changes: (count: number) => (count === 0 ? 'Nothing changed yet' : count === 1 ? '1 change, not sent' : `${count} changes, not sent`),
  cancel: 'Cancel',
  save: 'Save',
  history: 'History',
  undo: 'Undo',
  redo: 'Redo',
  notUndone: (what: string) => `${what} stays as it is:`,
  why: {
    changed: 'somebody has changed it since.', gone: 'it was removed.', there: 'there is one of its name again.', used: 'others depend on it.',
    unknown: 'the contract has no such property any more.', refused: 'it would not be valid.',
  },
  andMore: (count: number) => `(and ${count} more)`,
  refused: (message: string) => `Not accepted: ${message}`,
  shareLink: 'Share a read-only link',
  readOnlyLink: 'Read-only link',
  aboutLink: 'Whoever may read this project sees the scene as it is when they open the link. They load only the pages of its file that they look at.',
  link: 'Link',
  copy: 'Copy',
  copied: 'Copied',
  edit: 'Edit',
  editHint: 'Load the rest and go on live, from this version',
  loading: (share: number) => `Loading ${share} %`,
  cannotEdit: (message: string) => `This scene cannot be edited: ${message}`,
  showVersion: (version: string) => `Show version ${version}`,
  taken: (bytes: string, size: string, requests: number) => `${bytes} of ${size} MB, ${requests} requests`,
  takenHint: (bytes: string, size: string) => `This page fetched ${bytes} of the file's ${size} bytes, as it needed them`,
  following: 'Follows what is selected in the other windows',
  title: (text: string): string => text,
};

export type Words = typeof en;

const zh: Words = {
  language: 'zh',
  other: 'English',
  opening: '正在打开项目',
  again: '重试',
  sceneProperties: '场景属性',
  you: (name) => `${name}（你）`,
  goToPerson: (name) => `前往 ${name}`,
  connection: { connecting: '连接中', online: '在线', offline: '离线', closed: '已关闭' },
  waiting: (count) => `${count} 项待确认`,
  day: '白天',
  night: '夜晚',
  search: (count) => `在 ${count} 个地点中搜索`,
  found: '搜索结果',
  largest: '最大的城市',
  nothingFound: '没有这个名称的地点。',
  layers: '图层',
  shapes: '路线与区域',
  hide: '对所有人隐藏',
  show: '显示',
  moveLayer: '拖动，或按 Alt 加方向键，调整顺序',
  globe: '地球',
  map: '地图',
  closer: '放大',
  farther: '缩小',
  north: '正北朝上',
  add: '添加地点',
  addHere: '在此处添加地点',
  newPlace: '新地点',
  credit: '地名数据：GeoNames，CC BY 4.0',
  people: (count) => `${count} 人`,
  dragToMove: '拖动以移动',
  routePoint: '路线点',
  kinds: { annotation: '标注', route: '路线', 'route.points': '路线点', area: '区域', layer: '图层', scene: '场景' },
  nothingSelected: '未选择任何对象',
  howToSelect: '点击城市、路线或区域，或在左侧查找。',
  howToMove: '拖动已选对象即可移动。按住 Shift 可点选或框选多个对象。',
  howToLook: [['拖动', '平移'], ['滚轮', '缩放'], ['右键拖动', '倾斜']],
  selectedCount: (count) => `已选择 ${count} 个`,
  together: '此处的修改将应用于全部所选对象。',
  find: '查找属性',
  changed: '已修改',
  differ: (count) => `${count} 项与默认值不同`,
  reset: (title) => `重置${title}`,
  toDefault: '恢复默认值',
  points: '路线点',
  point: '点',
  none: '无',
  automatic: '自动',
  showOnMap: '在地图上显示',
  remove: '删除',
  close: '关闭',
  ownWindow: '在独立窗口中打开',
  removed: '所选对象已被删除。',
  readOnly: '只读',
  editSession: '编辑会话',
  live: '实时',
  liveHint: '发送拖动的每一步，让其他人实时看到',
  sentWhenLetGo: '松开时发送',
  changes: (count) => (count === 0 ? '尚无修改' : `${count} 项修改未发送`),
  cancel: '取消',
  save: '保存',
  history: '历史',
  undo: '撤销',
  redo: '重做',
  notUndone: (what) => `${what} 保持不变：`,
  why: {
    changed: '之后已被他人修改。', gone: '它已被删除。', there: '同名对象已再次存在。', used: '有其他对象依赖它。',
    unknown: '契约中已没有该属性。', refused: '结果将不合法。',
  },
  andMore: (count) => `（另有 ${count} 项）`,
  refused: (message) => `未被接受：${message}`,
  shareLink: '分享只读链接',
  readOnlyLink: '只读链接',
  aboutLink: '有权查看此项目的人打开链接时，看到的是当时的场景，且只加载所浏览的文件页。',
  link: '链接',
  copy: '复制',
  copied: '已复制',
  edit: '编辑',
  editHint: '加载其余部分，并从此版本开始实时编辑',
  loading: (share) => `已加载 ${share} %`,
  cannotEdit: (message) => `无法编辑此场景：${message}`,
  showVersion: (version) => `显示版本 ${version}`,
  taken: (bytes, size, requests) => `已取 ${bytes} / ${size} MB，${requests} 次请求`,
  takenHint: (bytes, size) => `本页按需读取了文件 ${size} 字节中的 ${bytes} 字节`,
  following: '跟随其他窗口中的选择',
  title: (text) => titlesInChinese[text] ?? text,
};

const LANGUAGES: Record<string, Words> = { en, zh };
const KEPT = 'sharelite language';

export const wordsCell = new Cell<Words>(LANGUAGES[first()]!);
wordsCell.watch(({ language }) => keep(language));
document.documentElement.lang = wordsCell.get().language;

export function useWords(): Words {
  return useCell(wordsCell);
}

export function otherLanguage(): void {
  wordsCell.set(wordsCell.get() === en ? zh : en);
}

/** What the address says, or what was chosen here before, or what the browser speaks. */
function first(): string {
  const asked = new URLSearchParams(location.search).get('lang') ?? read() ?? navigator.language;
  return asked.startsWith('zh') ? 'zh' : 'en';
}

function read(): string | null {
  try { return localStorage.getItem(KEPT); } catch { return null; } // a page without storage asks the browser each time
}

function keep(language: string): void {
  document.documentElement.lang = language;
  try { localStorage.setItem(KEPT, language); } catch { return; } // then it is chosen for this page only
}
