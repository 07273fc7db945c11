// Package internal holds no code of its own: this test states which of the
// packages below it may import which others, and which libraries live where.
//
// To add a package family, put its name on the line of its layer in layers.
// To add a library, add a line to libraries; ask first whether the standard
// library or a package here does it already.
package internal

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/iotctl/iotctl"

// layers is a statement of policy, lowest layer first. A package imports only
// families of lower layers, the contract that is its own parent directory
// (gateway/mqtt imports gateway), and what a member of a family keeps below it
// for itself (gateway/exproto imports gateway/exproto/exprotov1). Families of one
// layer do not see each other, nor do the packages within a family. message is
// what all of them talk about.
const layers = `
	message spelling
	router metrics codec
	session dissect format framing selector payload generate profile translate traffic
	auth store transport capture jq
	broker client decode
	gateway bridge rules cluster admin child display recording doctor
	serve bench proxy
	cmd/iotctl
`

// libraries names the families or packages that may import each module. A
// package that exists for tests (its name ends in "test") and every test file
// may also import the ones marked tests.
var libraries = map[string][]string{
	"github.com/andybalholm/brotli":           {"payload/compress"},
	"github.com/bufbuild/protocompile":        {"payload/protobuf"},
	"github.com/cockroachdb/pebble":           {"store"},
	"github.com/HdrHistogram/hdrhistogram-go": {"bench"},
	"github.com/eclipse/paho.golang":          {"client"},
	"github.com/eclipse/paho.mqtt.golang":     {"client"},
	"github.com/fatih/color":                  {"cmd/iotctl"},
	"github.com/fxamacker/cbor":               {"tests"},
	"github.com/gobwas/ws":                    {"transport"},
	"github.com/google/go-cmp":                {"tests"},
	"github.com/google/jsonschema-go":         {"tests"},
	"github.com/gopacket/gopacket":            {"tests"},
	"github.com/hamba/avro":                   {"tests"},
	"github.com/itchyny/gojq":                 {"jq"},
	"github.com/klauspost/compress":           {"payload/compress"},
	"github.com/mattn/go-isatty":              {"cmd/iotctl"},
	"github.com/mattn/go-runewidth":           {"cmd/iotctl"},
	"github.com/pion/dtls":                    {"transport"},
	"github.com/pion/logging":                 {"transport"},
	"github.com/rogpeppe/go-internal":         {"tests"},
	"github.com/spf13/cobra":                  {"cmd/iotctl"},
	"github.com/spf13/pflag":                  {"cmd/iotctl"},
	"github.com/vmihailenco/msgpack":          {"tests"},
	"github.com/zalando/go-keyring":           {"cmd/iotctl"},
	"go.uber.org/goleak":                      {"tests"},
	"golang.org/x/crypto":                     {"auth", "capture"},
	"golang.org/x/net":                        {"transport"},
	"golang.org/x/sys":                        {"transport", "serve", "cmd/iotctl"},
	"golang.org/x/term":                       {"cmd/iotctl"},
	"golang.org/x/text":                       {"codec"},
	"google.golang.org/grpc":                  {"gateway/exproto"},
	"google.golang.org/protobuf":              {"codec/protobuf", "gateway/exproto", "payload"},
	"gopkg.in/yaml.v3":                        {"codec", "gateway/mqttsn", "profile", "proxy", "serve", "cmd/iotctl"},
}

// pure families get everything they work on as parameters, so these parts of
// the standard library stay out of them.
var (
	pure     = []string{"message", "router", "codec", "session", "dissect"}
	impurity = []string{"context", "log/slog", "net", "net/http", "os", "os/exec", "os/signal"}
)

// banned names say nothing about what a package does.
var banned = []string{"util", "utils", "common", "types", "helpers", "hooks", "models", "misc"}

func TestLayers(t *testing.T) {
	root := ".."
	seen := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && file != root
			if hidden || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "dist" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		pkg := packageName(path.Dir(filepath.ToSlash(rel)))
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		seen++
		imports, err := importsOf(rel, src)
		if err != nil {
			return err
		}
		isTest := strings.HasSuffix(file, "_test.go")
		if problem := checkPackage(pkg, isTest); problem != "" {
			t.Errorf("%s: %s", rel, problem)
			return nil
		}
		for _, imp := range imports {
			if problem := checkImport(pkg, imp, isTest); problem != "" {
				t.Errorf("%s: %s", rel, problem)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 3 {
		t.Fatalf("only %d Go files below %s: the test looks at the wrong place", seen, root)
	}
}

func importsOf(name string, src []byte) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// packageName is the directory below the module root without "internal/", as
// in commit subjects: "codec/mqtt", "cmd/iotctl".
func packageName(dir string) string {
	return strings.TrimPrefix(dir, "internal/")
}

// family is the entry of layers that a package belongs to, "" if none.
func family(pkg string) string {
	for f := range strings.FieldsSeq(layers) {
		if pkg == f || strings.HasPrefix(pkg, f+"/") {
			return f
		}
	}
	return ""
}

func layerOf(family string) int {
	for i, line := range strings.Split(layers, "\n") {
		if slices.Contains(strings.Fields(line), family) {
			return i
		}
	}
	return -1
}

func checkPackage(pkg string, isTest bool) string {
	for element := range strings.SplitSeq(pkg, "/") {
		if slices.Contains(banned, element) {
			return fmt.Sprintf("package %s: %q says nothing about what is in it", pkg, element)
		}
	}
	if family(pkg) != "" || isTest && (pkg == "internal" || pkg == "interop") {
		return ""
	}
	return fmt.Sprintf("package %s stands on no layer: add it to layers in internal/layers_test.go", pkg)
}

// checkImport says what is wrong with pkg importing imp, "" if nothing.
func checkImport(pkg, imp string, isTest bool) string {
	isTest = isTest || strings.HasSuffix(pkg, "test")
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return checkStandard(pkg, imp, isTest)
	}
	if imp != module && !strings.HasPrefix(imp, module+"/") {
		return checkLibrary(pkg, imp, isTest)
	}
	if isTest {
		return "" // tests reach across layers; the compiler keeps cycles out
	}
	target := packageName(strings.TrimPrefix(imp, module+"/"))
	from, to := family(pkg), family(target)
	switch {
	case to == "":
		return fmt.Sprintf("%s imports %s, which stands on no layer", pkg, target)
	case strings.HasSuffix(target, "test"):
		return fmt.Sprintf("%s imports %s, which is for tests", pkg, target)
	case from == to && target == path.Dir(pkg): // the parent's contract
		return ""
	case from == to && pkg != from && strings.HasPrefix(target, pkg+"/"): // its own
		return ""
	case from == to:
		return fmt.Sprintf("%s imports %s: packages of one family do not see each other", pkg, target)
	case layerOf(to) >= layerOf(from):
		return fmt.Sprintf("%s imports %s, which is not in a lower layer", pkg, target)
	}
	return ""
}

func checkStandard(pkg, imp string, isTest bool) string {
	switch {
	case imp == "C":
		return pkg + " uses cgo, which the shipped binary is built without"
	case isTest:
		return ""
	case imp == "log":
		return pkg + " imports log: take a *slog.Logger"
	case slices.Contains(pure, family(pkg)) && slices.Contains(impurity, imp):
		return fmt.Sprintf("%s imports %s, but %s is pure", pkg, imp, family(pkg))
	}
	return ""
}

func checkLibrary(pkg, imp string, isTest bool) string {
	for lib, places := range libraries {
		if imp != lib && !strings.HasPrefix(imp, lib+"/") {
			continue
		}
		if isTest || slices.ContainsFunc(places, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") }) {
			return ""
		}
		return fmt.Sprintf("%s imports %s, which is for %s", pkg, imp, strings.Join(places, ", "))
	}
	return fmt.Sprintf("%s imports %s, which is not in libraries of internal/layers_test.go", pkg, imp)
}

func TestLayerRules(t *testing.T) {
	const test = true
	for _, tt := range []struct {
		pkg, imp string
		isTest   bool
		want     string // part of the complaint, "" for none
	}{
		{"broker", module + "/internal/session", !test, ""},
		{"session", module + "/internal/broker", !test, "not in a lower layer"},
		{"session", module + "/internal/broker", test, ""},
		{"store", module + "/internal/auth", !test, "not in a lower layer"},
		{"router", module + "/internal/message", !test, ""},
		{"message", module + "/internal/router", !test, "not in a lower layer"},
		{"codec/mqttsn", module + "/internal/codec/mqtt", !test, "do not see each other"},
		{"store/mem", module + "/internal/store", !test, ""},
		{"store", module + "/internal/store/mem", !test, "do not see each other"},
		{"gateway/exproto", module + "/internal/gateway/exproto/exprotov1", !test, ""},
		{"gateway/mqtt", module + "/internal/gateway/exproto/exprotov1", !test, "do not see each other"},
		{"gateway/exproto", "google.golang.org/grpc/codes", !test, ""},
		{"gateway/mqtt", "google.golang.org/grpc/codes", !test, "is for gateway/exproto"},
		{"store/mem", module + "/internal/store/storetest", !test, "is for tests"},
		{"store/mem", module + "/internal/store/storetest", test, ""},
		{"serve", module + "/internal/gateway/mqtt", !test, ""},
		{"broker", module + "/internal/misc", !test, "stands on no layer"},
		{"broker", "gopkg.in/yaml.v3", !test, "is for codec"},
		{"serve", "gopkg.in/yaml.v3", !test, ""},
		{"broker", "go.uber.org/goleak", !test, "is for tests"},
		{"broker", "go.uber.org/goleak", test, ""},
		{"gateway/gatewaytest", "go.uber.org/goleak", !test, ""},
		{"broker", "example.org/left-pad", test, "not in libraries"},
		{"session", "net", !test, "is pure"},
		{"session", "net", test, ""},
		{"session", "net/netip", !test, ""},
		{"broker", "log", !test, "slog"},
		{"broker", "C", test, "cgo"},
	} {
		got := checkImport(tt.pkg, tt.imp, tt.isTest)
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s imports %s (test: %v): %q, want %q", tt.pkg, tt.imp, tt.isTest, got, tt.want)
		}
	}
	for pkg, want := range map[string]string{
		"codec/coap":    "",
		"cmd/iotctl":    "",
		"cmd/other":     "stands on no layer",
		"mqtt":          "stands on no layer",
		"broker/common": "says nothing",
	} {
		if got := checkPackage(pkg, false); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("package %s: %q, want %q", pkg, got, want)
		}
	}
}
