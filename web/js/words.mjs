/** Our own sentences in the page's language. Nodes, settings and commands have theirs in the pack's `locales`. */

import { app } from "../../scripts/app.js";

const CHINESE = {
  "Run the workflow once:\nthe portrait appears here and can be dragged.": "运行一次工作流：\n人像会出现在这里，可以拖动。",
  "Drag the head, pupils, lids, brows, lips or mouth corners; drag beside the head to tilt it; double click resets a part.":
    "拖动头部、瞳孔、眼睑、眉毛、嘴唇或嘴角；在头旁边拖动可使头倾斜；双击可复位某一部位。",
  "Expressions": "表情",
  "expressions …": "表情……",
  "Save…": "保存……",
  "Save this expression in ComfyUI's user folder": "把此表情保存到 ComfyUI 的用户文件夹",
  "Delete": "删除",
  "Delete the saved expression that is chosen": "删除所选的已保存表情",
  "Reset": "复位",
  "Put every slider to 0": "把所有滑块归零",
  "Save expression": "保存表情",
  "Name of the expression:": "表情名称：",
  "Click to see a moment; drag a keyframe to move it.": "单击查看某一时刻；拖动关键帧可移动它。",
  "◆ Set": "◆ 设置",
  "Set a keyframe here, with the sliders as they stand": "用当前滑块在此设置关键帧",
  "Remove": "移除",
  "Remove the chosen keyframe": "移除所选关键帧",
  "Play the keyframes": "播放关键帧",
  "How the chosen keyframe goes on to the next one": "所选关键帧如何过渡到下一帧",
  "The keyframes are no JSON list of keyframes.": "关键帧不是 JSON 格式的关键帧列表。",
  "Click a face to choose it for the next run.": "单击一张脸，供下次运行使用。",
  "Run the workflow:\nthe faces appear here, a click chooses one.": "运行工作流：\n人脸会出现在这里，单击即可选择。",
  "Run again for this face.": "再次运行以使用这张脸。",
  "Run the workflow to see the motion.": "运行工作流以查看动作。",
  "This expression could not be read:": "无法读取此表情：",
  "The demo files could not be copied.": "无法复制示例文件。",
  // What the server answers.
  "This portrait is not kept any more; run the workflow to see it again.": "此人像已不再保留；\n运行工作流即可再次看到它。",
  "The server is at work on earlier requests.": "服务器正在处理先前的请求。",
  // Parts of the face under the pointer.
  "gaze": "视线",
  "left lid": "左眼睑",
  "right lid": "右眼睑",
  "brows": "眉毛",
  "smile, wide": "微笑、咧嘴",
  "mouth, jaw": "嘴、下颌",
  "turn the head": "转动头部",
  "tilt the head": "倾斜头部",
  // Expressions by name.
  "saved": "已保存",
  "built in": "内置",
  "smile": "微笑",
  "laugh": "大笑",
  "surprise": "惊讶",
  "doubt": "怀疑",
  "sad": "悲伤",
  "wink": "眨单眼",
  "kiss": "亲吻",
  "asleep": "睡着",
  // Ways from one keyframe to the next.
  "smooth": "平滑",
  "linear": "线性",
  "ease in": "缓入",
  "ease out": "缓出",
  "hold": "保持",
  // Curves of motion.
  "mouth": "嘴",
  "opening": "张开",
  "width": "宽度",
  "eyes": "眼睛",
  "right": "向右",
  "down": "向下",
  "head": "头部",
  "pitch": "俯仰",
  "yaw": "偏航",
  "roll": "翻滚",
};
// What the server's notices are made of.
const CHINESE_PARTS = [
  [/(\w+) draws the frames/g, "由 $1 绘制画面"],
  [/(\w+) makes the motion/g, "由 $1 生成动作"],
  [/Renderer: (\w+); all its weights are there\./g, "渲染器：$1，其权重齐全。"],
  [/Motion: (\w+); all its weights are there\./g, "动作：$1，其权重齐全。"],
  [/Renderer: (\w+), since /g, "渲染器：$1，因为 "],
  [/Motion: (\w+), since /g, "动作：$1，因为 "],
  [/ is missing/g, " 缺失"],
  [/ is damaged/g, " 已损坏"],
  [/Licence of its weights: /g, "其权重的许可证："],
  [/; from a face model for research/g, "；源自仅供研究的人脸模型"],
  [/; trained on /g, "；训练数据为 "],
  [/no commercial use/g, "不可商用"],
  [/commercial use allowed/g, "可商用"],
];

const isChinese = () => app.extensionManager?.setting?.get("Comfy.Locale") === "zh";

/** One of our sentences in the page's language. */
export const say = (english) => (isChinese() ? (CHINESE[english] ?? english) : english);

/** A notice of the server in the page's language, as far as its parts are known. */
export function sayNotice(english) {
  if (!isChinese()) return english;
  return CHINESE_PARTS.reduce((text, [part, chinese]) => text.replace(part, chinese), english);
}
