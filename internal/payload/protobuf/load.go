package protobuf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/iotctl/iotctl/internal/payload"
)

// maxFiles bounds imports.
const maxFiles = 1000

// load reads a file and what it imports.
func load(file string, directories []string) (*schema, error) {
	b, err := payload.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := newSchema()
	if !strings.HasSuffix(file, ".proto") {
		return s, s.addSet(file, b)
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	l := &loader{schema: s, imports: map[string]bool{}, paths: map[string]bool{path: true}, directories: directories}
	for at := filepath.Dir(path); ; at = filepath.Dir(at) {
		l.directories = append(l.directories, at)
		if at == filepath.Dir(at) {
			return s, l.source(file, b, true)
		}
	}
}

// addSet reads a FileDescriptorSet.
func (s *schema) addSet(file string, b []byte) error {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil || len(set.GetFile()) == 0 {
		return fmt.Errorf("%s is no descriptor set, as protoc --include_imports --descriptor_set_out=%s writes it; source ends in .proto", file, filepath.Base(file))
	}
	l := &loader{schema: s, imports: map[string]bool{}, paths: map[string]bool{}}
	for _, f := range set.GetFile() {
		l.imports[f.GetName()] = true
	}
	for _, f := range set.GetFile() {
		s.add(f, true)
		for _, name := range f.GetDependency() {
			if err := l.load(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// loader follows imports.
type loader struct {
	schema      *schema
	imports     map[string]bool // that were looked for
	paths       map[string]bool // that were read
	directories []string
}

// source takes one file and those that it imports.
func (l *loader) source(name string, b []byte, named bool) error {
	f, err := parse(name, b)
	if err != nil {
		return err
	}
	l.schema.add(f, named)
	for _, dependency := range f.GetDependency() {
		if err := l.load(dependency); err != nil {
			return err
		}
	}
	return nil
}

// load takes an import. One that is not found matters only if a type is missing:
// many are there for options.
func (l *loader) load(name string) error {
	if l.imports[name] {
		return nil
	}
	if len(l.imports) >= maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	l.imports[name] = true
	for _, directory := range l.directories {
		path, err := filepath.Abs(filepath.Join(directory, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if l.paths[path] {
			return nil
		}
		b, err := payload.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		l.paths[path] = true
		return l.source(path, b, false)
	}
	if text := wellKnownSource(name); text != "" {
		return l.source(name, []byte(text), false)
	}
	l.schema.missing = append(l.schema.missing, name)
	return nil
}

// parse reads one file. Errors begin with file, line and column. The parser does
// not survive every escape in a string that is none.
func parse(name string, b []byte) (_ *descriptorpb.FileDescriptorProto, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: this is no source of protobuf (%v)", name, p)
		}
	}()
	var first error
	handler := reporter.NewHandler(reporter.NewReporter(func(err reporter.ErrorWithPos) error {
		first = err
		return err
	}, nil))
	file, err := parser.Parse(name, bytes.NewReader(b), handler)
	if err == nil {
		var result parser.Result
		if result, err = parser.ResultFromAST(file, true, handler); err == nil {
			return result.FileDescriptorProto(), nil
		}
	}
	if first != nil {
		err = first
	}
	return nil, err
}
