package main

import (
	"testing"

	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

func TestDissectorsHaveNamesOfTheirOwn(t *testing.T) {
	all, err := dissectors()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range all {
		if seen[d.Name()] {
			t.Errorf("%s is there twice", d.Name())
		}
		seen[d.Name()] = true
	}
}

func TestDissectorsUnderTestAreThoseOfTheProgram(t *testing.T) {
	all, err := dissectors()
	if err != nil {
		t.Fatal(err)
	}
	tested := dissecttest.All(t)
	if len(tested) != len(all) {
		t.Fatalf("tests have %d dissectors, the program has %d", len(tested), len(all))
	}
	for i, d := range all {
		if tested[i].Name() != d.Name() {
			t.Errorf("dissector %d is %s in tests, %s in the program", i, tested[i].Name(), d.Name())
		}
	}
}
