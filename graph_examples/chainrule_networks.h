/* The networks library in one header: data, losses, networks, optimizers, training. */
#ifndef CHAINRULE_NETWORKS_H
#define CHAINRULE_NETWORKS_H

#include <chainrule.h>

#include "data/data.h"
#include "losses/losses.h"
#include "networks/networks.h"
#include "optimizers/optimizers.h"
#include "training/training.h"

#endif
