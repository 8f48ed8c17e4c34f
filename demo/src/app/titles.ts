/** Titles of the contract's properties, in Chinese. */
export const titlesInChinese: Record<string, string> = {
  'Scene with annotations': '带标注的场景', Scene: '场景', Title: '标题', Background: '背景', Land: '陆地', 'Height exaggeration': '高度夸张', Grid: '网格', Visible: '可见',
  Colour: '颜色', Opacity: '不透明度', Step: '间隔', Light: '光照', Direction: '方向', Elevation: '仰角', Intensity: '强度', Ambient: '环境光', Fog: '雾', Density: '浓度',
  'View at the start': '初始视图', Longitude: '经度', Latitude: '纬度', Zoom: '缩放', Pitch: '俯仰', Bearing: '方位', Layers: '图层', Layer: '图层', Id: '编号', Order: '顺序',
  Annotations: '标注', Annotation: '标注', Name: '名称', Country: '国家', Population: '人口', Locked: '锁定', Note: '备注', Position: '位置', Height: '高度', Icon: '图标',
  Shape: '形状', Size: '大小', Rotation: '旋转', Anchor: '锚点', Across: '横向', Down: '纵向', Offset: '偏移', 'Scale with zoom': '随缩放变化', Enabled: '启用', Near: '近',
  Far: '远', Outline: '轮廓', Width: '宽度', Dash: '虚线', Shadow: '阴影', Blur: '模糊', Glow: '光晕', Radius: '半径', Strength: '强度', Pulse: '脉动', Period: '周期',
  Reach: '范围', Badge: '徽标', Text: '文字', 'Text colour': '文字颜色', Corner: '角', Content: '内容', 'Widest line': '最大行宽', 'Line height': '行高',
  'Letter spacing': '字间距', Alignment: '对齐', Placement: '放置', Capitals: '大小写', Font: '字体', Family: '字体族', Weight: '字重', Style: '样式', Underline: '下划线',
  'Corner radius': '圆角半径', Border: '边框', Halo: '描边光晕', Padding: '内边距', Top: '上', Right: '右', Bottom: '下', Left: '左', 'Leader line': '引线', Length: '长度',
  Angle: '角度', 'Dash length': '虚线长度', Gap: '间隙', Cap: '端点', Start: '起点', Marker: '标记', End: '终点', Visibility: '可见性', 'From zoom': '起始缩放级',
  'To zoom': '结束缩放级', Fade: '淡入淡出', Priority: '优先级', 'May be hidden by others': '可被其他标注遮挡', 'Shown behind terrain': '地形后仍显示', Interaction: '交互',
  Selectable: '可选择', Draggable: '可拖动', Cursor: '光标', Tooltip: '提示', Link: '链接', Routes: '路线', Route: '路线', Closed: '闭合', Line: '线', Arrows: '箭头',
  Points: '点', Point: '点', Stop: '站点', Areas: '区域', Area: '区域', Fill: '填充', Pattern: '图案', Corners: '角点',
};
