/* SPDX-License-Identifier: GPL-2.0 */
/* Named in every object's note, so that another compiler makes all of them again: CONFIG_CC_VERSION_TEXT */
