// Asks containers/image, as skopeo, podman and CRI-O have it: `image-judge POLICY REGISTRIES.D IMAGE`.
//
// Reads the image through a policy.json and a registries.d directory, over plain HTTP. Exit code
// 0: accepted; 1: refused, with the library's words on stderr. With `-all` as the last word
// every platform of an index is copied, otherwise the one of this machine.
package main

import (
	"context"
	"fmt"
	"os"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/transports/alltransports"
	"go.podman.io/image/v5/types"
)

func judge(ctx context.Context, policyFile, registriesDir, image string, all bool) error {
	policy, err := signature.NewPolicyFromFile(policyFile)
	if err != nil {
		return err
	}
	judging, err := signature.NewPolicyContext(policy)
	if err != nil {
		return err
	}
	defer judging.Destroy()
	source, err := alltransports.ParseImageName("docker://" + image)
	if err != nil {
		return err
	}
	place, err := os.MkdirTemp("", "image-judge")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	target, err := alltransports.ParseImageName("dir:" + place)
	if err != nil {
		return err
	}
	options := &copy.Options{
		// What is judged is the source; a copy without its signatures is as good.
		RemoveSignatures: true,
		SourceCtx: &types.SystemContext{
			RegistriesDirPath:           registriesDir,
			DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
			ArchitectureChoice:          "amd64",
			OSChoice:                    "linux",
		},
	}
	if all {
		options.ImageListSelection = copy.CopyAllImages
	}
	_, err = copy.Image(ctx, judging, target, source, options)
	return err
}

func main() {
	words := os.Args[1:]
	all := len(words) == 4 && words[3] == "-all"
	if len(words) != 3 && !all {
		fmt.Fprintln(os.Stderr, "usage: image-judge POLICY REGISTRIES_D IMAGE [-all]")
		os.Exit(2)
	}
	if err := judge(context.Background(), words[0], words[1], words[2], all); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("accepted", words[2])
}
