package protobuf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// canonical are values that all programs write alike: fields by number, no zeros.
var canonical = []string{
	`{"sensorId":"k1","i32":-5,"s32":-6,"u32":4294967295,"f32":1,"sf32":-1,"i64":-9223372036854775808,"s64":9223372036854775807,"u64":18446744073709551615,"f64":2,"sf64":-2}`,
	`{"temperature":1.1,"pressure":-1e-07,"ok":true,"blob":"AP8=","state":"RUNNING"}`,
	`{"counts":[1,-1,300],"loose":[7],"tags":["a","","é"],"samples":[{"at":1,"value":1.5},{}]}`,
	`{"limits":{"a":7},"byPort":{"-3":{"at":1}},"flags":{"true":"FAILED"},"url":"u","maybe":0}`,
	`{"place":{"latitude":1.5,"name":"n"},"parent":{"parent":{"sensorId":"x"}},"custom-name":5}`,
	`{"time":"2024-05-04T23:49:41.500Z","lag":"-0.000001s","mask":"aB,c.dE","nothing":{}}`,
	`{"time":"0001-01-01T00:00:00Z","lag":"315576000000s"}`,
	`{"extra":{"a":{"b":[1,null,"x",true,{}]}},"anyValue":[1.5],"list":[{"x":null}],"limit":1.5,"label":"","raw":"AA==","wrapped":[1,0]}`,
	`{"detail":{"@type":"type.googleapis.com/acme.Reading.Sample","at":5}}`,
	`{"detail":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"}}`,
	`{"anyValue":null}`,
}

// reading is acme.Reading as the library of Go has it.
func reading(t *testing.T) (protoreflect.MessageDescriptor, resolver) {
	t.Helper()
	sources := protocompile.SourceResolver{
		ImportPaths: []string{"testdata", "testdata/include"},
		Accessor: func(path string) (io.ReadCloser, error) {
			if strings.HasSuffix(path, "not_here.proto") {
				return io.NopCloser(strings.NewReader(`syntax = "proto3";`)), nil
			}
			return os.Open(path)
		},
	}
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&sources)}
	files, err := c.Compile(context.Background(), "reading.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages().ByName("Reading"), resolver{files.AsResolver()}
}

// resolver finds the well-known types, too, which the file does not name.
type resolver struct{ linker.Resolver }

func (r resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if m, err := r.Resolver.FindMessageByURL(url); err == nil {
		return m, nil
	}
	return protoregistry.GlobalTypes.FindMessageByURL(url)
}

func TestAgreesWithTheLibraryOfGo(t *testing.T) {
	md, types := reading(t)
	k := open(t, readingArg)
	for _, text := range canonical {
		m := dynamicpb.NewMessage(md)
		if err := proto.Unmarshal(encode(t, k, text), m); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		theirs, err := protojson.MarshalOptions{Resolver: types}.Marshal(m)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, want := normal(t, text), normal(t, string(theirs)); got != want {
			t.Errorf("as JSON\n%s, theirs\n%s", got, want)
		}
		back := dynamicpb.NewMessage(md)
		if err := (protojson.UnmarshalOptions{Resolver: types}).Unmarshal([]byte(text), back); err != nil {
			t.Errorf("they do not read %s: %v", text, err)
			continue
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		if got, notes := decode(t, k, b); normal(t, got) != normal(t, text) || notes != nil {
			t.Errorf("of their bytes\n%s %q, want\n%s", got, notes, text)
		}
		if ours := encode(t, k, text); len(ours) != len(b) {
			t.Errorf("%s: % x, theirs\n% x", text, ours, b)
		}
	}
}

// normal is JSON with members in order, and numbers as text.
func normal(t *testing.T, s string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(quoted(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func quoted(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return fmt.Sprint(f)
		}
		return string(v)
	case []any:
		for i := range v {
			v[i] = quoted(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = quoted(v[name])
		}
	}
	return v
}

// protoc runs protoc, with the imports of testdata.
func protoc(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("protoc")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal("protoc is required and not installed")
		}
		t.Skip("protoc is not installed")
	}
	directory := t.TempDir()
	put := func(name, text string) {
		file := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("options/not_here.proto", `syntax = "proto3";`)
	for _, name := range []string{"any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"} {
		name = "google/protobuf/" + name + ".proto"
		put(name, wellKnownSource(name)) // not every protoc is installed with its own
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-I", "testdata", "-I", "testdata/include", "-I", directory}, args...)...)
	var out, problem bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &problem
	if err := cmd.Run(); err != nil {
		t.Fatalf("protoc %q: %v\n%s", args, err, problem.String())
	}
	return out.Bytes()
}

func TestAgreesWithProtoc(t *testing.T) {
	for _, tt := range []struct {
		arg, message, file string
		texts              []string
	}{
		{readingArg, "acme.Reading", "reading.proto", canonical},
		{oldArg, "acme.old.Register", "old.proto", []string{
			`{"name":"n","value":7,"counts":[1,2],"dense":[3,4],"range":{"low":1},"[acme.old.unit]":"C","[acme.old.Scope.scopes]":[{"id":1}]}`,
		}},
	} {
		k := open(t, tt.arg)
		for _, text := range tt.texts {
			theirs := protoc(t, encode(t, k, text), "--decode="+tt.message, tt.file)
			b := protoc(t, theirs, "--encode="+tt.message, tt.file)
			if got, notes := decode(t, k, b); normal(t, got) != normal(t, text) || notes != nil {
				t.Errorf("%s\n%q, want\n%s, by\n%s", got, notes, text, theirs)
			}
		}
	}
}

func TestReadsDescriptorSetsOfProtoc(t *testing.T) {
	for _, flags := range [][]string{{"--include_imports"}, nil} {
		set := filepath.Join(t.TempDir(), "acme.binpb")
		files := []string{"reading.proto", "acme/place.proto"}
		protoc(t, nil, append(append(flags, "--descriptor_set_out="+set), files...)...)
		k := open(t, set+":acme.Reading")
		for _, text := range canonical {
			if got, _ := decode(t, k, encode(t, k, text)); got != text {
				t.Errorf("%s, want\n%s", got, text)
			}
		}
	}
}

// TestReadsDescriptorSets: one that the library of Go has made, editions too.
func TestReadsDescriptorSets(t *testing.T) {
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"testdata"}})}
	files, err := c.Compile(context.Background(), "edition.proto", "old.proto")
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range files {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "set.desc")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ message, hex, text string }{
		{"Track", "08 01 08 02 12 02 03 04 1a 02 08 01 23 08 02 24", `{"loose":[1,2],"dense":[3,4],"plain":{"x":1},"delimited":{"x":2}}`},
		{"Register", "0a 01 6e 2b 08 01 10 02 2c a2 06 01 43", `{"name":"n","range":{"low":1,"high":2},"[acme.old.unit]":"C"}`},
	} {
		k := open(t, name+":"+tt.message)
		if got, _ := decode(t, k, bytesOf(t, tt.hex)); got != tt.text {
			t.Errorf("%s, want\n%s", got, tt.text)
		}
		if got := encode(t, k, tt.text); !bytes.Equal(got, bytesOf(t, tt.hex)) {
			t.Errorf("% x, want\n%s", got, tt.hex)
		}
	}
}
