/* What must be C because Swift cannot run there: on the thread that a raw clone(2) leaves behind, between a clone and an
 * exec, and in a signal handler. System calls and plain memory only. */
#ifndef LIMPET_CCONTINUITY_H
#define LIMPET_CCONTINUITY_H

#include "digest.h"
#include "exec.h"
#include "fault.h"
#include "inject.h"
#include "look.h"
#include "process.h"
#include "sandbox.h"
#include "spawn.h"
#include "test_image.h"
#include "trust.h"

#endif
