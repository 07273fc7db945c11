package main

import (
	"testing"

	"github.com/iotctl/iotctl/internal/bench/benchtest"
)

func TestScenarios(t *testing.T) { benchtest.Run(t, scenarios()) }
