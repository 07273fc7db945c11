// Command proto generates Go code from a .proto file, beside it; with -check it
// says whether that would change anything. It needs no protoc, and go.mod pins
// everything that decides about the result.
//
//	go -C .ci/proto run . [-check] DIR/NAME.proto
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// plugins are the tools of go.mod, with their parameters.
var plugins = map[string]string{
	"protoc-gen-go":      "paths=source_relative",
	"protoc-gen-go-grpc": "paths=source_relative",
}

func main() {
	check := flag.Bool("check", false, "write nothing, fail when something would change")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: go -C .ci/proto run . [-check] DIR/NAME.proto")
		os.Exit(2)
	}
	write := func(name string, content []byte) error { return os.WriteFile(name, content, 0o644) }
	if *check {
		write = compare
	}
	if err := generate(context.Background(), flag.Arg(0), write); err != nil {
		fmt.Fprintln(os.Stderr, "proto:", err)
		os.Exit(1)
	}
}

func compare(name string, content []byte) error {
	have, err := os.ReadFile(name)
	if err == nil && !bytes.Equal(have, content) {
		err = fmt.Errorf("%s is not what its .proto file says: make proto", name)
	}
	return err
}

func generate(ctx context.Context, file string, write func(name string, content []byte) error) error {
	dir, name := filepath.Split(file)
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard, // comments
	}
	files, err := compiler.Compile(ctx, name)
	if err != nil {
		return err
	}
	for tool, parameter := range plugins {
		answer, err := ask(ctx, tool, &pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{name},
			Parameter:      proto.String(parameter),
			ProtoFile:      []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])},
		})
		if err != nil {
			return fmt.Errorf("%s: %w", tool, err)
		}
		for _, f := range answer.File {
			if err := write(filepath.Join(dir, filepath.Base(f.GetName())), []byte(f.GetContent())); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask runs one plugin.
func ask(ctx context.Context, tool string, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", tool)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	answer := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out, answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		return nil, errors.New(answer.GetError())
	}
	return answer, nil
}
