package main

import "testing"

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
