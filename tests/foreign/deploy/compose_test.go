package deploy

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../../../deploy/compose.yaml"

// load validates against the JSON Schema of the Compose specification that comes with its reference implementation.
func load(text string) (*types.Project, error) {
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "../../../deploy",
		ConfigFiles: []types.ConfigFile{{Filename: composeFile, Content: []byte(text)}},
		Environment: map[string]string{},
	})
}

func source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheComposeFileHasFourConfinedMembers(t *testing.T) {
	project, err := load(source(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) != len(members) {
		t.Fatalf("%d services", len(project.Services))
	}
	for _, name := range members {
		service := project.Services[name]
		if !service.ReadOnly || service.User != "10001:10001" || strings.Join(service.CapDrop, "") != "ALL" {
			t.Errorf("%s: not confined", name)
		}
		if service.HealthCheck == nil || service.Restart == "" || service.MemLimit == 0 || len(service.Environment) > 0 {
			t.Errorf("%s: health, restart, limits, environment", name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to the network", name, port.Published)
			}
		}
		if len(service.Volumes) != 1 || !strings.HasSuffix(service.Volumes[0].Source, "/"+name) {
			t.Errorf("%s: its data is not its own", name)
		}
	}
}

func TestBrokenComposeFilesAreRefused(t *testing.T) {
	text := source(t)
	for name, change := range map[string][2]string{
		"a member that the schema does not have": {"  read_only: true", "  readonly: true"},
		"a list that is a number":                {"cap_drop: [ALL]", "cap_drop: 3"},
		"a duration that is none":                {"interval: 15s", "interval: often"},
	} {
		broken := strings.Replace(text, change[0], change[1], 1)
		if broken == text {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := load(broken); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
