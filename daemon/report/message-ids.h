/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Journal message ids. Never reuse one; each has an entry in systemd/numabalanced.catalog. */
#pragma once

#define MESSAGE_ID_DECISION         "a1ebad99576aaec05767ad12f5c00314"
#define MESSAGE_ID_MOVED            "9b0d7775583fc2286f442246c7001421"
#define MESSAGE_ID_MOVE_FAILED      "f7adc5fa51f6e811ce97716d7b3be8c6"
#define MESSAGE_ID_RESTORED         "c4644697dde4ba1c0157b19493de8cec"
#define MESSAGE_ID_RESTORE_FAILED   "f238baa613d30252073c1dfa7d13a060"
#define MESSAGE_ID_BLOCKED          "87147bea5ee0b3dab965f22c7375fcf8"
#define MESSAGE_ID_CONFIG_LOADED    "480ff0eaeff8cb79c9acffae5e2da179"
#define MESSAGE_ID_CONFIG_REJECTED  "9968a13ffd2c47c8ab70cffd12b4cd00"
#define MESSAGE_ID_WIDENED_PRESSURE "9de1e0fa1dd567b88a08be4636a079e3"
#define MESSAGE_ID_LIMITATION       "50e3d0de0d5c3fa6309f844bd313a5b2"
#define MESSAGE_ID_PROCESS_STUCK    "2fae58c325ee3a992ac677844f763e26"
#define MESSAGE_ID_KERNEL_BALANCING "48c8134a26da4680ae3ecf4096077f48"
#define MESSAGE_ID_UNDONE           "a2c7ead49efd441985128984b4fd8faa"
