//! Shared images in the renderer's GL: imports the memory of an image as a texture, once, and knows when GL has done with it.
//!
//! The texture that [`GlImages::texture`] returns samples the memory that Vulkan writes. It lives as long as the image, or as long as
//! this value. WebRender keeps track of what is bound in its context, so every call puts back what it has bound.
//!
//! All of it is called on the renderer's thread, with the context of the renderer current.

use std::ffi::{CStr, c_char, c_void};
use std::os::fd::IntoRawFd;
use std::sync::{Arc, Weak};

use thiserror::Error;
use wgpu_types::TextureFormat;

use crate::frame::{DeviceUuids, Frame, SharedImage};
use crate::pixels::AlphaMode;

/// Why a GL context cannot sample the images of a GPU.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlImportError {
    /// The context does not have this extension.
    #[error("the GL context has no {0}")]
    MissingExtension(&'static str),
    /// The context does not have this function.
    #[error("the GL context has no {0}")]
    MissingFunction(&'static str),
    /// The context names several devices, or none.
    #[error("the GL context does not name one device")]
    NoDevice,
}

/// Why an image was not imported.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum ImportError {
    #[error("it belongs to another device")]
    OtherDevice,
    #[error("the driver of the GPU does not export it")]
    NotExported,
    #[error("GL has the error {0:#x}")]
    Gl(u32),
    #[error("its framebuffer has the status {0:#x}")]
    Incomplete(u32),
}

impl ImportError {
    /// Whether there was no memory or no descriptor for this image, which a page can cause. Others may do better.
    pub(super) fn is_for_lack(self) -> bool {
        matches!(self, Self::NotExported | Self::Gl(name::OUT_OF_MEMORY))
    }
}

/// The names of GL that are used here.
mod name {
    pub(super) const TEXTURE_2D: u32 = 0x0DE1;
    pub(super) const TEXTURE_BINDING_2D: u32 = 0x8069;
    pub(super) const TEXTURE_MAG_FILTER: u32 = 0x2800;
    pub(super) const TEXTURE_MIN_FILTER: u32 = 0x2801;
    pub(super) const TEXTURE_WRAP_S: u32 = 0x2802;
    pub(super) const TEXTURE_WRAP_T: u32 = 0x2803;
    pub(super) const LINEAR: i32 = 0x2601;
    pub(super) const CLAMP_TO_EDGE: i32 = 0x812F;
    pub(super) const TEXTURE_SWIZZLE_R: u32 = 0x8E42;
    pub(super) const TEXTURE_SWIZZLE_G: u32 = 0x8E43;
    pub(super) const TEXTURE_SWIZZLE_B: u32 = 0x8E44;
    pub(super) const TEXTURE_SWIZZLE_A: u32 = 0x8E45;
    pub(super) const ZERO: i32 = 0;
    pub(super) const ONE: i32 = 1;
    pub(super) const RED: i32 = 0x1903;
    pub(super) const GREEN: i32 = 0x1904;
    pub(super) const BLUE: i32 = 0x1905;
    pub(super) const ALPHA: i32 = 0x1906;
    pub(super) const RGBA8: u32 = 0x8058;
    pub(super) const TEXTURE_TILING_EXT: u32 = 0x9580;
    pub(super) const OPTIMAL_TILING_EXT: i32 = 0x9584;
    pub(super) const DEDICATED_MEMORY_OBJECT_EXT: u32 = 0x9581;
    pub(super) const HANDLE_TYPE_OPAQUE_FD_EXT: u32 = 0x9586;
    pub(super) const NUM_DEVICE_UUIDS_EXT: u32 = 0x9596;
    pub(super) const DEVICE_UUID_EXT: u32 = 0x9597;
    pub(super) const DRIVER_UUID_EXT: u32 = 0x9598;
    pub(super) const EXTENSIONS: u32 = 0x1F03;
    pub(super) const NUM_EXTENSIONS: u32 = 0x821D;
    pub(super) const READ_FRAMEBUFFER: u32 = 0x8CA8;
    pub(super) const READ_FRAMEBUFFER_BINDING: u32 = 0x8CAA;
    pub(super) const COLOR_ATTACHMENT0: u32 = 0x8CE0;
    pub(super) const FRAMEBUFFER_COMPLETE: u32 = 0x8CD5;
    pub(super) const SYNC_GPU_COMMANDS_COMPLETE: u32 = 0x9117;
    pub(super) const ALREADY_SIGNALED: u32 = 0x911A;
    pub(super) const CONDITION_SATISFIED: u32 = 0x911C;
    pub(super) const WAIT_FAILED: u32 = 0x911D;
    pub(super) const SYNC_FLUSH_COMMANDS_BIT: u32 = 1;
    pub(super) const OUT_OF_MEMORY: u32 = 0x0505;
    pub(super) const CONTEXT_LOST: u32 = 0x0507;
}

/// Declares the functions that are loaded.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($field: unsafe extern "system" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            ///
            /// What `load` returns for the name of a function of GL is that function.
            unsafe fn load(load: &mut dyn FnMut(&str) -> *const c_void) -> Result<Self, GlImportError> {
                $(
                    let $field = load($name);
                    if $field.is_null() {
                        return Err(GlImportError::MissingFunction($name));
                    }
                )*
                // SAFETY: none is null, and each is the function of GL with this name, whose signature this is.
                unsafe {
                    Ok(Self { $($field: std::mem::transmute::<
                        *const c_void,
                        unsafe extern "system" fn($($argument),*) $(-> $result)?,
                    >($field),)* })
                }
            }
        }
    };
}

functions! {
    get_error = "glGetError": fn() -> u32;
    get_integer = "glGetIntegerv": fn(u32, *mut i32);
    get_string = "glGetStringi": fn(u32, u32) -> *const c_char;
    gen_textures = "glGenTextures": fn(i32, *mut u32);
    delete_textures = "glDeleteTextures": fn(i32, *const u32);
    bind_texture = "glBindTexture": fn(u32, u32);
    texture_parameter = "glTexParameteri": fn(u32, u32, i32);
    texture_storage = "glTexStorage2D": fn(u32, i32, u32, i32, i32);
    gen_framebuffers = "glGenFramebuffers": fn(i32, *mut u32);
    delete_framebuffers = "glDeleteFramebuffers": fn(i32, *const u32);
    bind_framebuffer = "glBindFramebuffer": fn(u32, u32);
    framebuffer_texture = "glFramebufferTexture2D": fn(u32, u32, u32, u32, i32);
    framebuffer_status = "glCheckFramebufferStatus": fn(u32) -> u32;
    fence = "glFenceSync": fn(u32, u32) -> *const c_void;
    wait = "glClientWaitSync": fn(*const c_void, u32, u64) -> u32;
    delete_sync = "glDeleteSync": fn(*const c_void);
    create_memory = "glCreateMemoryObjectsEXT": fn(i32, *mut u32);
    delete_memory = "glDeleteMemoryObjectsEXT": fn(i32, *const u32);
    memory_parameter = "glMemoryObjectParameterivEXT": fn(u32, u32, *const i32);
    import_memory = "glImportMemoryFdEXT": fn(u32, u64, u32, i32);
    texture_storage_memory = "glTexStorageMem2DEXT": fn(u32, i32, u32, i32, i32, u32, u64);
    get_bytes = "glGetUnsignedBytevEXT": fn(u32, *mut u8);
    get_bytes_of = "glGetUnsignedBytei_vEXT": fn(u32, u32, *mut u8);
}

/// The images that one GL context has imported.
pub(super) struct GlImages {
    functions: Functions,
    uuids: DeviceUuids,
    textures: Vec<GlTexture>,
    /// A texture that is transparent black. Made when it is first needed.
    blank: Option<u32>,
}

/// A texture that samples the memory of an image.
struct GlTexture {
    image: Weak<dyn SharedImage>,
    alpha_mode: AlphaMode,
    imported: Imported,
}

/// A texture, and the memory object that it lies in. Mesa's llvmpipe frees the memory with the object, although the texture needs it.
#[derive(Clone, Copy)]
struct Imported {
    texture: u32,
    memory: u32,
}

/// Tells when GL has executed all commands before it.
pub(super) struct GlFence(*const c_void);

// SAFETY: the pointer is a name of GL's, which is used only in methods of `GlImages`, whose context is current then, on whatever thread.
unsafe impl Send for GlFence {}

impl GlImages {
    /// Loads what it takes to import images.
    ///
    /// # Safety
    ///
    /// What `load` returns for the name of a function of GL is that function, or null. The context that it belongs to is current now, in
    /// every later call of a method, and when the value is dropped.
    pub(super) unsafe fn new(load: &mut dyn FnMut(&str) -> *const c_void) -> Result<Self, GlImportError> {
        // SAFETY: the caller promises it.
        let functions = unsafe { Functions::load(load)? };
        for extension in ["GL_EXT_memory_object", "GL_EXT_memory_object_fd"] {
            if !functions.has_extension(extension) {
                return Err(GlImportError::MissingExtension(extension));
            }
        }
        if functions.integer(name::NUM_DEVICE_UUIDS_EXT) != 1 {
            return Err(GlImportError::NoDevice);
        }
        let mut uuids = DeviceUuids { device: [0; 16], driver: [0; 16] };
        // SAFETY: the context is current, it has the extension, and GL writes 16 bytes.
        unsafe {
            (functions.get_bytes)(name::DRIVER_UUID_EXT, uuids.driver.as_mut_ptr());
            (functions.get_bytes_of)(name::DEVICE_UUID_EXT, 0, uuids.device.as_mut_ptr());
        }
        Ok(Self { functions, uuids, textures: Vec::new(), blank: None })
    }

    /// The device of the context.
    pub(super) fn uuids(&self) -> DeviceUuids {
        self.uuids
    }

    /// Returns the texture of a frame that is an image. It is imported if this is the first time.
    pub(super) fn texture(
        &mut self,
        frame: &Frame,
        image: &Arc<dyn SharedImage>,
    ) -> Result<u32, ImportError> {
        let alpha_mode = frame.layout().alpha_mode();
        let is_same = |known: &GlTexture| {
            std::ptr::addr_eq(known.image.as_ptr(), Arc::as_ptr(image)) && known.alpha_mode == alpha_mode
        };
        if let Some(known) = self.textures.iter().find(|known| is_same(known)) {
            return Ok(known.imported.texture);
        }
        self.sweep();
        let imported = self.import(&**image, alpha_mode)?;
        self.textures.push(GlTexture { image: Arc::downgrade(image), alpha_mode, imported });
        Ok(imported.texture)
    }

    /// Returns a texture that is transparent black.
    pub(super) fn blank(&mut self) -> u32 {
        let Self { functions, blank, .. } = self;
        *blank.get_or_insert_with(|| {
            functions.with_new_texture(|functions| {
                // SAFETY: the context is current, and a texture of its own is bound.
                unsafe { (functions.texture_storage)(name::TEXTURE_2D, 1, name::RGBA8, 1, 1) };
                functions.swizzle([name::ZERO; 4]);
            })
        })
    }

    /// Deletes the textures of images that are gone.
    pub(super) fn sweep(&mut self) {
        let Self { functions, textures, .. } = self;
        let gone = textures.extract_if(.., |texture| texture.image.strong_count() == 0);
        gone.for_each(|gone| functions.delete(gone.imported));
    }

    /// Notes the end of the commands that were given to GL so far.
    pub(super) fn fence(&self) -> GlFence {
        // SAFETY: the context is current.
        GlFence(unsafe { (self.functions.fence)(name::SYNC_GPU_COMMANDS_COMPLETE, 0) })
    }

    /// Whether GL has executed the commands before a fence. It deletes the fence then.
    pub(super) fn is_done(&self, fence: &GlFence) -> bool {
        // SAFETY: the context is current, and the fence is one of it that was not deleted.
        let status = unsafe { (self.functions.wait)(fence.0, name::SYNC_FLUSH_COMMANDS_BIT, 0) };
        let is_done =
            matches!(status, name::ALREADY_SIGNALED | name::CONDITION_SATISFIED | name::WAIT_FAILED);
        if is_done {
            // SAFETY: as above. The caller drops the fence.
            unsafe { (self.functions.delete_sync)(fence.0) };
        }
        is_done
    }

    fn import(&self, image: &dyn SharedImage, alpha_mode: AlphaMode) -> Result<Imported, ImportError> {
        if image.uuids() != self.uuids {
            return Err(ImportError::OtherDevice);
        }
        let functions = &self.functions;
        let fd = image.export().ok_or(ImportError::NotExported)?;
        functions.drain_errors();
        let mut memory = 0;
        let size = image.size();
        // SAFETY: the context is current and has the extension; GL reads and writes one value.
        unsafe {
            (functions.create_memory)(1, &mut memory);
            (functions.memory_parameter)(memory, name::DEDICATED_MEMORY_OBJECT_EXT, &1);
        }
        // An error of these calls would look like one of the import below, which decides who closes the descriptor.
        let error = functions.error();
        if error != 0 {
            // SAFETY: the memory object was created above, or has the name 0, which is ignored.
            unsafe { (functions.delete_memory)(1, &memory) };
            return Err(ImportError::Gl(error));
        }
        let fd = fd.into_raw_fd();
        // SAFETY: as above. The descriptor is that of memory of this device with this size, and GL's from now on.
        unsafe {
            (functions.import_memory)(memory, image.memory_size(), name::HANDLE_TYPE_OPAQUE_FD_EXT, fd);
        }
        let error = functions.error();
        if error != 0 {
            // SAFETY: GL takes the descriptor only if it succeeds, so it is this function's still.
            drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) });
            // SAFETY: the memory object was created above.
            unsafe { (functions.delete_memory)(1, &memory) };
            return Err(ImportError::Gl(error));
        }
        let texture = functions.with_new_texture(|functions| {
            let storage = functions.texture_storage_memory;
            // SAFETY: the context is current, and a texture of its own is bound. The memory is that of an image of this size, whose format has
            // four channels of eight bits, and which is tiled optimally. (The cast changes no value: no device has larger images.)
            unsafe {
                (functions.texture_parameter)(
                    name::TEXTURE_2D,
                    name::TEXTURE_TILING_EXT,
                    name::OPTIMAL_TILING_EXT,
                );
                storage(name::TEXTURE_2D, 1, name::RGBA8, size.width as i32, size.height as i32, memory, 0);
            }
            let alpha = if alpha_mode == AlphaMode::Opaque { name::ONE } else { name::ALPHA };
            let (red, blue) = match image.format() {
                TextureFormat::Bgra8Unorm => (name::BLUE, name::RED),
                _ => (name::RED, name::BLUE),
            };
            functions.swizzle([red, name::GREEN, blue, alpha]);
        });
        let error = functions.error();
        // Drivers do not tell of a bad descriptor otherwise.
        let status = functions.status(texture);
        if error == 0 && status == name::FRAMEBUFFER_COMPLETE {
            return Ok(Imported { texture, memory });
        }
        functions.delete(Imported { texture, memory });
        Err(if error == 0 { ImportError::Incomplete(status) } else { ImportError::Gl(error) })
    }
}

impl Drop for GlImages {
    fn drop(&mut self) {
        let imported = self.textures.iter().map(|texture| texture.imported);
        imported.for_each(|imported| self.functions.delete(imported));
        if let Some(blank) = self.blank {
            // SAFETY: the context is current, and the texture is this value's.
            unsafe { (self.functions.delete_textures)(1, &blank) };
        }
    }
}

impl Functions {
    fn integer(&self, name: u32) -> i32 {
        let mut value = 0;
        // SAFETY: the context is current, and GL writes one value for the names that are asked for here.
        unsafe { (self.get_integer)(name, &mut value) };
        value
    }

    fn has_extension(&self, wanted: &str) -> bool {
        let count = u32::try_from(self.integer(name::NUM_EXTENSIONS)).unwrap_or(0);
        (0..count).any(|index| {
            // SAFETY: the context is current, and the index is below the count.
            let extension = unsafe { (self.get_string)(name::EXTENSIONS, index) };
            // SAFETY: GL returns null or a string of its own.
            !extension.is_null() && unsafe { CStr::from_ptr(extension) }.to_bytes() == wanted.as_bytes()
        })
    }

    fn error(&self) -> u32 {
        // SAFETY: the context is current.
        unsafe { (self.get_error)() }
    }

    /// Forgets errors of earlier calls. A context that is lost returns one each time.
    fn drain_errors(&self) {
        // GL has one of each kind at most.
        let _ = (0..32).find(|_| matches!(self.error(), 0 | name::CONTEXT_LOST));
    }

    /// Makes a texture, with the filters that WebRender expects of it, while `fill` gives it its contents.
    fn with_new_texture(&self, fill: impl FnOnce(&Self)) -> u32 {
        let bound = self.integer(name::TEXTURE_BINDING_2D);
        let mut texture = 0;
        // SAFETY: the context is current, and GL writes one name.
        unsafe {
            (self.gen_textures)(1, &mut texture);
            (self.bind_texture)(name::TEXTURE_2D, texture);
        }
        for (parameter, value) in [
            (name::TEXTURE_MAG_FILTER, name::LINEAR),
            (name::TEXTURE_MIN_FILTER, name::LINEAR),
            (name::TEXTURE_WRAP_S, name::CLAMP_TO_EDGE),
            (name::TEXTURE_WRAP_T, name::CLAMP_TO_EDGE),
        ] {
            // SAFETY: the context is current, and a texture of its own is bound.
            unsafe { (self.texture_parameter)(name::TEXTURE_2D, parameter, value) };
        }
        fill(self);
        // SAFETY: the context is current, and this was bound before.
        unsafe { (self.bind_texture)(name::TEXTURE_2D, bound.cast_unsigned()) };
        texture
    }

    /// Lets the texture that is bound return these channels as red, green, blue and alpha.
    fn swizzle(&self, channels: [i32; 4]) {
        let parameters = [
            name::TEXTURE_SWIZZLE_R,
            name::TEXTURE_SWIZZLE_G,
            name::TEXTURE_SWIZZLE_B,
            name::TEXTURE_SWIZZLE_A,
        ];
        for (parameter, channel) in parameters.into_iter().zip(channels) {
            // SAFETY: the context is current, and a texture of its own is bound.
            unsafe { (self.texture_parameter)(name::TEXTURE_2D, parameter, channel) };
        }
    }

    /// Returns the status of a framebuffer that reads from a texture.
    fn status(&self, texture: u32) -> u32 {
        let bound = self.integer(name::READ_FRAMEBUFFER_BINDING);
        let mut framebuffer = 0;
        // SAFETY: the context is current; GL reads and writes one name; what was bound before is bound again.
        unsafe {
            (self.gen_framebuffers)(1, &mut framebuffer);
            (self.bind_framebuffer)(name::READ_FRAMEBUFFER, framebuffer);
            (self.framebuffer_texture)(
                name::READ_FRAMEBUFFER,
                name::COLOR_ATTACHMENT0,
                name::TEXTURE_2D,
                texture,
                0,
            );
            let status = (self.framebuffer_status)(name::READ_FRAMEBUFFER);
            (self.bind_framebuffer)(name::READ_FRAMEBUFFER, bound.cast_unsigned());
            (self.delete_framebuffers)(1, &framebuffer);
            status
        }
    }

    fn delete(&self, Imported { texture, memory }: Imported) {
        // SAFETY: the context is current, and both were made by `import`.
        unsafe {
            (self.delete_textures)(1, &texture);
            (self.delete_memory)(1, &memory);
        }
    }
}
