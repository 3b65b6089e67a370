; Inno Setup 6: heddle-VERSION-windows-amd64-setup.exe from the frozen folder.
;     python packaging\build.py folder
;     iscc /DVersion=0.1.0 packaging\windows\heddle.iss
; Not run yet: no Windows was at hand when it was written.

#ifndef Version
  #error Give the version: iscc /DVersion=0.1.0 packaging\windows\heddle.iss
#endif
#define Program "..\..\build\freeze\dist\heddle"

[Setup]
AppId={{6B1C8F0E-3E0B-4B52-9D6A-5C6B5E7A4E11}
AppName=Heddle
AppVersion={#Version}
AppPublisher=The Heddle authors
DefaultDirName={autopf}\Heddle
DisableProgramGroupPage=yes
; A user's own folder without an administrator; for all users where one is asked for.
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
LicenseFile=..\..\LICENSE
SetupIconFile=..\..\build\freeze\icons\heddle.ico
UninstallDisplayIcon={app}\heddle-desktop.exe
OutputDir=..\..\build\packages
OutputBaseFilename=heddle-{#Version}-windows-amd64-setup
Compression=lzma2/max
SolidCompression=yes
WizardStyle=modern
ChangesEnvironment=yes
ChangesAssociations=yes
CloseApplications=yes

[Tasks]
Name: desktopicon; Description: "{cm:CreateDesktopIcon}"; Flags: unchecked
Name: path; Description: "Put the command heddle on the PATH"

[InstallDelete]
; An upgrade leaves no library of the old version beside the new ones. Settings and jobs lie elsewhere.
Type: filesandordirs; Name: "{app}\_internal"

[Files]
Source: "{#Program}\*"; DestDir: "{app}"; Flags: recursesubdirs createallsubdirs ignoreversion

[Icons]
Name: "{autoprograms}\Heddle"; Filename: "{app}\heddle-desktop.exe"
Name: "{autodesktop}\Heddle"; Filename: "{app}\heddle-desktop.exe"; Tasks: desktopicon

[Registry]
; "Open with" for text files and folders; nobody's own choice is changed.
Root: HKA; Subkey: "Software\Classes\Applications\heddle-desktop.exe"; ValueType: string; ValueName: "FriendlyAppName"; ValueData: "Heddle"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Applications\heddle-desktop.exe\shell\open\command"; ValueType: string; ValueData: """{app}\heddle-desktop.exe"" ""%1"""
Root: HKA; Subkey: "Software\Classes\Applications\heddle-desktop.exe\SupportedTypes"; ValueType: string; ValueName: ".txt"; ValueData: ""
Root: HKA; Subkey: "Software\Classes\Applications\heddle-desktop.exe\SupportedTypes"; ValueType: string; ValueName: ".md"; ValueData: ""
Root: HKA; Subkey: "Software\Classes\Applications\heddle-desktop.exe\SupportedTypes"; ValueType: string; ValueName: ".log"; ValueData: ""
Root: HKA; Subkey: "Software\Classes\Applications\heddle-desktop.exe\SupportedTypes"; ValueType: string; ValueName: ".csv"; ValueData: ""
Root: HKA; Subkey: "Software\Classes\Directory\shell\Heddle"; ValueType: string; ValueData: "Open with Heddle"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Directory\shell\Heddle"; ValueType: string; ValueName: "Icon"; ValueData: "{app}\heddle-desktop.exe"
Root: HKA; Subkey: "Software\Classes\Directory\shell\Heddle\command"; ValueType: string; ValueData: """{app}\heddle-desktop.exe"" ""%1"""
Root: HKCU; Subkey: "Environment"; ValueType: expandsz; ValueName: "Path"; ValueData: "{olddata};{app}"; Tasks: path; Check: NotOnPath

[Run]
Filename: "{app}\heddle-desktop.exe"; Description: "{cm:LaunchProgram,Heddle}"; Flags: nowait postinstall skipifsilent

[Code]
function NotOnPath: Boolean;
var
  Paths: String;
begin
  if not RegQueryStringValue(HKCU, 'Environment', 'Path', Paths) then
    Paths := '';
  Result := Pos(';' + Lowercase(ExpandConstant('{app}')) + ';', ';' + Lowercase(Paths) + ';') = 0;
end;

procedure TakeOffPath;
var
  Paths, Ours: String;
  At: Integer;
begin
  if not RegQueryStringValue(HKCU, 'Environment', 'Path', Paths) then
    exit;
  Ours := ';' + ExpandConstant('{app}');
  At := Pos(Lowercase(Ours) + ';', Lowercase(Paths) + ';');
  if At > 0 then
  begin
    Delete(Paths, At, Length(Ours));
    RegWriteExpandStringValue(HKCU, 'Environment', 'Path', Paths);
  end;
end;

procedure CurUninstallStepChanged(Step: TUninstallStep);
begin
  if Step = usPostUninstall then
  begin
    TakeOffPath;
    if not UninstallSilent then
      MsgBox('Heddle is removed. Your settings, jobs and logs are still in ' + ExpandConstant('{localappdata}\Heddle') +
        '; delete that folder if you do not want them.', mbInformation, MB_OK);
  end;
end;
