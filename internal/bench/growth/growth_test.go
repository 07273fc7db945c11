package main

import (
	"os/exec"
	"strings"
	"testing"
)

const output = `goos: linux
BenchmarkGrowthMatch/fanout=1/filters=10-2         	 1000	       100.0 ns/op
BenchmarkGrowthMatch/fanout=1/filters=10-2         	 1000	       300 ns/op
BenchmarkGrowthMatch/fanout=1/filters=10-2         	 1000	       110 ns/op
BenchmarkGrowthMatch/fanout=1/filters=1000         	 1000	       220 ns/op	 12.5 B/sub
PASS
`

func TestDraw(t *testing.T) {
	points, err := parse(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := curves[0].draw(&out, points); err != nil {
		t.Fatal(err)
	}
	want := "\n**Match one topic, filters without wildcards**\n\n```\n" +
		"    filters        ns/op   smallest to greatest\n" +
		"         10        110.0      100.0 to 300.0      " + strings.Repeat("█", 20) + "\n" +
		"       1000        220.0      220.0 to 220.0      " + strings.Repeat("█", 40) + "\n```\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if err := curves[1].draw(&out, points); err == nil {
		t.Error("a curve without points")
	}
}

// The benchmarks that the curves are made of are there.
func TestBenchmarks(t *testing.T) {
	if testing.Short() {
		t.Skip("builds tests")
	}
	list, err := exec.CommandContext(t.Context(), "go", "test", "-list", "BenchmarkGrowth",
		"github.com/iotctl/iotctl/internal/router", "github.com/iotctl/iotctl/internal/broker").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	for _, c := range curves {
		name, _, _ := strings.Cut(c.benchmark, "/")
		if !strings.Contains(string(list), "Benchmark"+name+"\n") {
			t.Errorf("there is no Benchmark%s", name)
		}
	}
}
