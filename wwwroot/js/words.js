// Words of the consoles. They are here and not in the portal's resources because the embed page has no server side to ask.
const en = {
  connecting: 'Connecting…', connected: 'Connected', again: 'Connection lost. Trying again in {0} s', over: 'Disconnected', refused: 'The console cannot be opened', off: 'The machine does not run. The console opens when it starts.',
  used: 'This console was opened with a single-use ticket. Ask the page that shows it for a new one.', view: 'View only', keys: 'Ctrl-Alt-Del', paste: 'Paste as keys', full: 'Full screen', fit: 'Fit to window', shot: 'Screenshot',
  now: 'Connect now', release: 'Ctrl+Alt+Shift releases the keyboard', copy: 'Copy', copied: 'Copied', clear: 'Clear view', log: 'Download log', typing: 'Typing {0} of {1}', cancel: 'Cancel', send: 'Type it',
  'paste.serial': 'Paste', 'paste.help': 'The text is typed key by key, as on a US keyboard. At most 4096 characters.', 'paste.serial.help': 'The text is sent as it is. At most 4096 characters.', text: 'Text', gone: '{0} bytes are no longer kept',
  screen: 'Screen of {0}', terminal: 'Serial console of {0}', toolbar: 'Console tools', noticket: 'This page needs a console ticket in its address.', unreachable: 'The portal does not answer.',
};
const zh = {
  connecting: '正在连接…', connected: '已连接', again: '连接已断开，{0} 秒后重试', over: '已断开', refused: '无法打开控制台', off: '虚拟机未运行，启动后控制台会自动打开。',
  used: '此控制台使用一次性票据打开，请在嵌入它的页面重新获取。', view: '仅查看', keys: 'Ctrl-Alt-Del', paste: '以按键方式粘贴', full: '全屏', fit: '适应窗口', shot: '截图',
  now: '立即连接', release: '按 Ctrl+Alt+Shift 释放键盘', copy: '复制', copied: '已复制', clear: '清空显示', log: '下载日志', typing: '正在输入 {0} / {1}', cancel: '取消', send: '输入',
  'paste.serial': '粘贴', 'paste.help': '文本将按美式键盘逐键输入，最多 4096 个字符。', 'paste.serial.help': '文本将原样发送，最多 4096 个字符。', text: '文本', gone: '有 {0} 字节已不再保留',
  screen: '{0} 的屏幕', terminal: '{0} 的串行控制台', toolbar: '控制台工具', noticket: '此页面的地址中需要控制台票据。', unreachable: '门户没有响应。',
};

/** Words in the page's language: w('again', 4). */
export const words = (language) => {
  const table = (language || '').toLowerCase().startsWith('zh') ? zh : en;
  return (key, ...values) => (table[key] ?? en[key] ?? key).replace(/\{(\d)\}/g, (_, n) => values[n] ?? '');
};
