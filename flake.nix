{
  description = "Reproducible, secure image builder: signed packages in, byte-identical distroless images out";

  # By name, so that the machine's registry decides where it comes from; `nix flake lock` pins it.
  inputs.nixpkgs.url = "nixpkgs";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = each: nixpkgs.lib.genAttrs systems (system: each nixpkgs.legacyPackages.${system});
      manifest = builtins.fromTOML (builtins.readFile ./Cargo.toml);

      # One derivation of the workspace; `checks` below differ from the package in what they run.
      workspace =
        pkgs: extra:
        pkgs.rustPlatform.buildRustPackage (
          {
            pname = "tarsia";
            version = manifest.workspace.package.version;
            src = self;
            cargoLock.lockFile = ./Cargo.lock;
            # Codecs are built from source at exact versions: a system library would write other bytes.
            env = {
              ZSTD_SYS_USE_PKG_CONFIG = "0";
              LZMA_API_STATIC = "1";
            };
            doCheck = false;
            meta = {
              description = "Reproducible, secure image builder";
              license = with pkgs.lib.licenses; [
                asl20
                mit
              ];
              mainProgram = "tarsia";
            };
          }
          // extra
        );

      check =
        pkgs: name: tools: command:
        workspace pkgs {
          pname = "tarsia-${name}";
          nativeBuildInputs = tools;
          buildPhase = ''
            runHook preBuild
            ${command}
            runHook postBuild
          '';
          installPhase = "touch $out";
        };
    in
    {
      packages = forEachSystem (pkgs: rec {
        tarsia = workspace pkgs {
          cargoBuildFlags = [ "--package=tarsia" ];
          nativeBuildInputs = [ pkgs.installShellFiles ];
          postInstall = ''
            $out/bin/tarsia man > tarsia.1
            installManPage tarsia.1
            for shell in bash zsh fish; do
              $out/bin/tarsia completions $shell > tarsia.$shell
              installShellCompletion --$shell --name tarsia.$shell tarsia.$shell
            done
          '';
        };
        default = tarsia;
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            cargo
            cargo-deny
            clippy
            rust-analyzer
            rustc
            rustfmt
            # Judges of the tests.
            libfaketime
            gnupg
            openssl
            podman
            python3
            runc
            skopeo
            umoci
            xz
            zstd
          ];
        };
      });

      checks = forEachSystem (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        tests = check pkgs "tests" [ ] "cargo test --workspace --offline";
        fmt = check pkgs "fmt" [ pkgs.rustfmt ] "cargo fmt --check";
        clippy = check pkgs "clippy" [ pkgs.clippy ] "cargo clippy --workspace --all-targets --offline -- -D warnings";
        doc = check pkgs "doc" [ ] "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --offline";
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-rfc-style);
    };
}
